// Controls that several parts of the page use.
import type { Run } from "./data";
import { go } from "./state";
import { sameShape } from "./values";
import { shortName, words } from "./words";

type Choice = [value: string | number, text: string];

interface SelectProps {
  id: string;
  label: string; // the name of its text
  value: string | number;
  choices: Choice[];
  onChoose: (value: string) => void;
}

export function Select({ id, label, value, choices, onChoose }: SelectProps) {
  return (
    <label for={id}>
      {words[label]}{" "}
      <select id={id} value={value} onChange={(event) => onChoose(event.currentTarget.value)}>
        {choices.map(([each, text]) => (
          <option key={each} value={each}>
            {text}
          </option>
        ))}
      </select>
    </label>
  );
}

// Links that choose one of some heads of a run
export function LinksToHeads({ cells, run = "a" }: { cells: number[]; run?: Run }) {
  const own = run === "b" && !sameShape();
  return (
    <>
      {cells.map((cell) => (
        <>
          <Link text={shortName(cell, run)} onClick={() => go(own ? { cellB: cell } : { cell })} />{" "}
        </>
      ))}
    </>
  );
}

// A text in which each head that it names is a link that chooses it; see `place.ts`
export function WithHeads({ text, measure }: { text: string; measure: string }) {
  const parts = text.split(/\b(L\d+H\d+)\b/); // every second one is a head
  return <>{parts.map((part, place) => (place % 2 ? <a href={`#head=${part}&measure=${measure}`}>{part}</a> : part))}</>;
}

export function Link({ text, onClick }: { text: string; onClick: () => void }) {
  return (
    <button type="button" class="link" onClick={onClick}>
      {text}
    </button>
  );
}
