// What is said of one sample: its question, answers and numbers, on a card, in the table and where it is open.
import { Link } from "./controls";
import { type Run, categories, column, page, samples } from "./data";
import { go } from "./state";
import { digits, words } from "./words";

export const categoryOf = (row: number) => categories[samples.category[row]];
export const stateOf = (row: number) => (samples.state[row] < 0 ? page.stateless : page.states[samples.state[row]]);

export function Right({ right }: { right: 0 | 1 | null }) {
  if (right === null) return null;
  return <span class={`tag ${right ? "right" : "wrong"}`}>{right ? words.right : words.wrong}</span>;
}

// What the model said: its text where it wrote one, else the first token; and how that is called
const saidBy = (row: number) => (samples.text ?? samples.prediction)[row];
export const nameOfSaid = (run: Run = "a") => ((run === "a" ? samples : page.second)?.text ? "text_of_model" : "prediction");

// What B answers
export function SaidByB({ row }: { row: number }) {
  const { second } = page;
  if (!second || !inB(row)) return null;
  return (
    <p class="of-other">
      {`B${words.colon}`}
      <bdi>{(second.text ?? second.prediction)[row] ?? "–"}</bdi> <Right right={second.right[row]} />
    </p>
  );
}

// Whether B has the sample
export const inB = (row: number) => (page.second?.prediction[row] ?? null) !== null;

// Its question, which opens it, and a mark where the page has no image of it
export function Opener({ row }: { row: number }) {
  return (
    <>
      <Link text={samples.question[row] ?? samples.id[row]} onClick={() => go({ sample: row })} />
      {page.images > 0 && samples.picture[row] === null && <span class="small no-image"> ({words.no_image})</span>}
    </>
  );
}

// `onOpen`: its question is a button, and what B answers stands there too
export function Said({ row, onOpen }: { row: number; onOpen?: () => void }) {
  const question = samples.question[row] ?? "–";
  const numbers = Object.entries(page.numbers).map(([name, text]) => `${words[text]} ${digits(column(name)[row], 3)}`);
  return (
    <>
      <p class="question">{onOpen ? <Link text={question} onClick={onOpen} /> : question}</p>
      <p>
        {page.scored && (
          <>
            {words.answer}
            {words.colon}
            <bdi>{samples.answer[row] ?? "–"}</bdi>
            {" · "}
          </>
        )}
        {words[nameOfSaid()]}
        {words.colon}
        <bdi>{saidBy(row) ?? "–"}</bdi>
      </p>
      {numbers.length > 0 && <p class="numbers-of-sample">{numbers.join(" · ")}</p>}
      {page.scored && (
        <p>
          <Right right={samples.right[row]} />
          {stateOf(row) !== "right" && <span class="tag">{words[stateOf(row)]}</span>}
        </p>
      )}
      {onOpen && <SaidByB row={row} />}
      <p class="small">
        <bdi>{categoryOf(row)}</bdi> · <bdi>{samples.id[row]}</bdi>
      </p>
    </>
  );
}
