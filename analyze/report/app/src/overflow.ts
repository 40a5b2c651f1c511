// Regions that scroll: a key reaches them, and they show that there is more.
const REGIONS = "#contents, .wide, .cards, .chips, .verdict ul, .text p";

// Reads all sizes before it writes a mark, as a size that is read after a mark has the page laid out again
function mark(regions: HTMLElement[]): void {
  const hidden = regions.map((region) => {
    const right = region.scrollWidth - region.clientWidth;
    const down = region.scrollHeight - region.clientHeight;
    return { right, down, moreRight: right - region.scrollLeft, moreDown: down - region.scrollTop };
  });
  regions.forEach((region, place) => {
    const { right, down, moreRight, moreDown } = hidden[place];
    if (right > 1 || down > 1) region.tabIndex = 0;
    else region.removeAttribute("tabindex");
    region.toggleAttribute("data-more-right", moreRight > 1);
    region.toggleAttribute("data-more-down", moreDown > 1);
  });
}

export function markRegions(): void {
  mark([...document.querySelectorAll<HTMLElement>(REGIONS)]);
}

// Marks them again where something else may fit: at a scroll, another size, a part that is opened
export function watchRegions(): void {
  addEventListener("resize", markRegions);
  document.addEventListener("toggle", markRegions, true);
  const scrolled = ({ target }: Event) => target instanceof HTMLElement && target.matches(REGIONS) && mark([target]);
  document.addEventListener("scroll", scrolled, true);
}
