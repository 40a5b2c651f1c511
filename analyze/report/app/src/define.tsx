// What a word means, beside it: opened by click and by key, and one at a time.
import { filled, words } from "./words";

// `text`: the name of the definition in `words`, if it is not that of the word
export function Define({ name, text = `define_${name}` }: { name: string; text?: string }) {
  return (
    <details class="define" name="define">
      <summary aria-label={filled("what_is", { name: words[name] })}>?</summary>
      <div class="meaning">
        <p>{words[text]}</p>
      </div>
    </details>
  );
}
