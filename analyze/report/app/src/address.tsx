// The page's address: a line on what it names and the page does not have, and the button that copies it.
import { useState } from "preact/hooks";
import { notThere } from "./state";
import { clipped, filled, words } from "./words";

const LONGEST = 60; // letters of a name

export function Address() {
  const names = notThere().map((name) => clipped(name, LONGEST));
  return (
    <div role="status">
      {names.length > 0 && <p class="note">{filled("not_there", { names: names.join(words.comma) })}</p>}
    </div>
  );
}

export function CopyLink() {
  const [said, say] = useState("");
  const copy = async () => say((await copied(location.href)) ? words.copied : words.not_copied);
  return (
    <>
      <span role="status" class="small">
        {said}
      </span>{" "}
      <button type="button" id="copy-link" onClick={copy} onBlur={() => say("")}>
        {words.copy_link}
      </button>
    </>
  );
}

// Whether a text is on the clipboard now; pages that are not from https or a file may not use the clipboard's own way
async function copied(text: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const field = document.createElement("textarea");
    field.value = text;
    document.body.append(field);
    field.select();
    const done = document.execCommand("copy");
    field.remove();
    return done;
  }
}
