// Regions that scroll: a key reaches them, and they show that there is more.
const REGIONS = "#contents, .wide, .cards, .chips, .verdict ul, .text p";

function mark(region: HTMLElement): void {
  const right = region.scrollWidth - region.clientWidth;
  const down = region.scrollHeight - region.clientHeight;
  if (right > 1 || down > 1) region.tabIndex = 0;
  else region.removeAttribute("tabindex");
  region.toggleAttribute("data-more-right", right - region.scrollLeft > 1);
  region.toggleAttribute("data-more-down", down - region.scrollTop > 1);
}

export function markRegions(): void {
  document.querySelectorAll<HTMLElement>(REGIONS).forEach(mark);
}

// Marks them again where something else may fit: at a scroll, another size, a part that is opened
export function watchRegions(): void {
  addEventListener("resize", markRegions);
  document.addEventListener("toggle", markRegions, true);
  const scrolled = ({ target }: Event) => target instanceof HTMLElement && target.matches(REGIONS) && mark(target);
  document.addEventListener("scroll", scrolled, true);
}
