// What a word means, beside it: opened by click and by key, and one at a time.
import { filled } from "./words";

// `name`: the word; `texts`: a paragraph each
export function Define({ name, texts }: { name: string; texts: string[] }) {
  return (
    <details class="define" name="define">
      <summary aria-label={filled("what_is", { name })}>?</summary>
      <div class="meaning">
        {texts.map((text) => (
          <p>{text}</p>
        ))}
      </div>
    </details>
  );
}
