// The image of a sample, with the map of a head over it.
import { useLayoutEffect, useRef } from "preact/hooks";
import { type Grid, page, samples } from "./data";
import { gridOf, hasMaps, paint } from "./maps";
import { filled, words } from "./words";

// `cell`: the head whose map is shown, or null
export function Picture({ row, cell }: { row: number; cell: number | null }) {
  const place = samples.picture[row];
  if (place === null) {
    return page.images.length ? <div class="nothing">{words.no_image}</div> : <div />;
  }
  const grid = gridOf(row);
  const number = samples.images[row];
  return (
    <div class="picture">
      <div class="frame">
        <img
          src={`data:image/jpeg;base64,${page.images[place]}`}
          alt={`${words.image_of} ${samples.question[row] ?? samples.id[row]}`}
        />
        {grid && cell !== null && hasMaps(cell) && <Overlay grid={grid} cell={cell} />}
      </div>
      {number > 1 && <p class="small">{filled("first_of", { number })}</p>}
    </div>
  );
}

function Overlay({ grid, cell }: { grid: Grid; cell: number }) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const [rows, columns, x0, y0, x1, y1] = grid;
  useLayoutEffect(() => paint(canvas.current!, grid, cell), [grid, cell]);
  const place = { left: x0, top: y0, width: x1 - x0, height: y1 - y0 };
  const style = Object.fromEntries(Object.entries(place).map(([name, share]) => [name, `${100 * share}%`]));
  return <canvas ref={canvas} width={columns} height={rows} style={style} />;
}
