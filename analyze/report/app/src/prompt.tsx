// The whole prompt of a sample, by role, as far as the run keeps it.
import { page, samples } from "./data";
import { digits, filled, words } from "./words";

const ROLES = ["bos", "system", "user", "image", "question"] as const;
const LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ";

// What a role says: its text, or what is known of it
function textOf(row: number, role: (typeof ROLES)[number]): string {
  const { template, wording } = page.prompt;
  if (role === "system") return wording?.system ?? (template ? filled("system_of_template", { template }) : "");
  if (role === "image") return samples.image[row] ?? "";
  if (role === "question") return asked(row);
  return "";
}

// The message that asks the question
function asked(row: number): string {
  const { suffix, wording } = page.prompt;
  if (wording) return wording.template;
  const options = (samples.options?.[row] ?? []).map((option, place) => `${LETTERS[place]}. ${option}`);
  const text = [samples.hint?.[row], samples.question[row], ...options].filter(Boolean).join("\n");
  const end = suffix ?? "";
  return text.trimEnd().endsWith(end.trim()) ? text : text + end;
}

export function Prompt({ row }: { row: number }) {
  const { tokens, wording } = page.prompt;
  if (!tokens) return null;
  return (
    <details class="prompt" id="prompt">
      <summary>{words.whole_prompt}</summary>
      <dl>
        {ROLES.filter((role) => tokens[role][row]).map((role) => (
          <>
            <dt>
              {words[`role ${role}`]}{" "}
              <span class="small">{filled("tokens_of_role", { number: digits(tokens[role][row], 0) })}</span>
            </dt>
            <dd data-role={role}>
              <bdi>{textOf(row, role)}</bdi>
            </dd>
          </>
        ))}
      </dl>
      <p class="small">{wording ? filled("prompt_of_wording", { name: wording.name }) : words.prompt_kept}</p>
    </details>
  );
}
