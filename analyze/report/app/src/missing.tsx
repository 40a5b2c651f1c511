// Of a page that is a folder: a line on the pieces that are missing or damaged, and what to do.
import { missingPieces } from "./pieces";
import { filled, words } from "./words";

const NAMED = 3; // pieces, at most

export function Missing() {
  const names = missingPieces().map((name) => `pieces/${name}.js`);
  const shown = names.slice(0, NAMED);
  if (names.length > NAMED) shown.push(filled("and_more", { number: names.length - NAMED }));
  return (
    <div role="alert" class="missing">
      {names.length > 0 && <p class="note">{filled("missing_pieces", { names: shown.join(words.comma) })}</p>}
    </div>
  );
}
