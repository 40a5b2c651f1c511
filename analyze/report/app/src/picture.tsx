// The image of a sample, with the map of a head over it.
import { useLayoutEffect, useRef } from "preact/hooks";
import { type Box, type Run, page, samples } from "./data";
import { type HeadMap, extent, imageSource, inside, mapOf, paint, paintScale, scaleOfMaps, ticks } from "./maps";
import { mapAt } from "./texts";
import { nameOfMass } from "./values";
import { digits, filled, shortName, words } from "./words";

const HIGHEST = 220; // pixels
const MASS_OF_STEP = "G2V"; // the column of the image mass of a step

const hasImage = (row: number) => samples.picture[row] !== null;

interface PictureProps {
  row: number;
  cell: number | null; // the head whose map is shown
  height?: number; // the most that the picture takes, in pixels
  run?: Run; // whose map it is
  step?: number; // of its text; -1: of the prompt
}

// The column of the mass on the image, of the prompt or of a step
export const nameOfMassAt = (step: number) => (step < 0 ? nameOfMass() : MASS_OF_STEP);

// The map of a head on a sample: of its prompt, or of a step of its text
export function mapAtStep(row: number, cell: number | null, step: number, run: Run = "a"): HeadMap | null {
  if (cell === null) return null;
  return step < 0 ? mapOf(row, cell, run) : mapAt(row, step, cell, run);
}

export function Picture({ row, cell, height = HIGHEST, run = "a", step = -1 }: PictureProps) {
  if (!hasImage(row)) {
    return page.images ? <div class="nothing">{words.no_image}</div> : <div />;
  }
  const found = mapAtStep(row, cell, step, run);
  const number = samples.images[row];
  const mass = nameOfMassAt(step);
  const alt = `${words.image_of} ${samples.question[row] ?? samples.id[row]}`;
  return (
    <div class="picture">
      <Framed row={row} cell={cell} height={height} alt={alt} run={run} step={step} />
      {found && (
        <p class="small mass">{filled("mass_here", { head: shortName(cell!, run), mass, value: digits(found.mass, 3) })}</p>
      )}
      {number > 1 && <p class="small">{filled("first_of", { number })}</p>}
    </div>
  );
}

// Tells the page's style how wide the image is for its height, so that a large one fits the screen
function tellRatio({ currentTarget: image }: { currentTarget: HTMLImageElement }): void {
  image.parentElement!.style.setProperty("--ratio", String(image.naturalWidth / image.naturalHeight));
}

// The image alone, with the map over it
export function Framed({ row, cell, height = HIGHEST, alt, run = "a", step = -1 }: PictureProps & { alt: string }) {
  const found = mapAtStep(row, cell, step, run);
  const image = <img src={imageSource(row) ?? undefined} alt={alt} onLoad={tellRatio} />;
  if (!found) return <div class="frame">{image}</div>;
  return (
    <Overlaid found={found} height={height}>
      {image}
    </Overlaid>
  );
}

// A rectangle in shares of the image, as shares of what is drawn
function placed(found: HeadMap, [x0, y0, x1, y1]: Box) {
  const { left, top, width, height } = extent(found.sample);
  const share = (value: number) => `${100 * value}%`;
  return {
    left: share((x0 - left) / width),
    top: share((y0 - top) / height),
    width: share((x1 - x0) / width),
    height: share((y1 - y0) / height),
  };
}

function Overlaid({ found, height, children }: { found: HeadMap; height: number; children: preact.ComponentChildren }) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const { sample } = found;
  const drawn = extent(sample);
  const ratio = (drawn.width * sample.size[0]) / (drawn.height * sample.size[1]);
  useLayoutEffect(() => paint(canvas.current!, found));
  return (
    <div class="frame read" style={{ aspectRatio: String(ratio), maxWidth: `${height * ratio}px` }}>
      <div class="ground" style={placed(found, [0, 0, 1, 1])}>
        <div style={{ opacity: 1 - scaleOfMaps().pale }}>{children}</div>
      </div>
      <canvas ref={canvas} width={sample.columns} height={sample.rows} style={placed(found, sample.box)} />
      <Marks found={found} />
    </div>
  );
}

// Boxes around the answer, and a shade over what the model does not read
function Marks({ found: { sample } }: { found: HeadMap }) {
  const { left, top, width, height } = extent(sample);
  const read = inside(sample);
  const hole = read && `M${read.x} ${read.y}v${read.height}h${read.width}v${-read.height}z`;
  return (
    <svg viewBox={`${left} ${top} ${width} ${height}`} preserveAspectRatio="none" aria-hidden="true">
      {hole && <path class="outside" d={`M0 0h1v1h-1z${hole}`} />}
      {sample.boxes.flatMap(([x0, y0, x1, y1]) =>
        ["halo", "box"].map((name) => <rect class={name} x={x0} y={y0} width={x1 - x0} height={y1 - y0} />),
      )}
    </svg>
  );
}

// The colours of maps, with their numbers
export function Scale({ id }: { id: string }) {
  const canvas = useRef<HTMLCanvasElement>(null);
  useLayoutEffect(() => paintScale(canvas.current!), []);
  return (
    <div class="scale" id={id}>
      <span>{words.scale_of_maps}</span>
      <div class="bar">
        <canvas ref={canvas} width={256} height={1} />
        {ticks().map(([value, place]) => (
          <span class="tick" style={{ left: `${100 * place}%` }}>
            {value}
          </span>
        ))}
      </div>
    </div>
  );
}
