"""The recipe of the demo: MME-like pictures and yes/no questions, drawn from a seed.

    python -m data.demo_questions --out data/demo --seed 0 --images-per-category 4

writes OUT/images/<category>/0001.png ... and OUT/MME_test.json. Like MME it has 14 categories and two questions
per picture, one answered Yes and one No, under the same question_id. The same seed gives the same files.
"""

import argparse
import json
import math
import random
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

Colour = tuple[int, int, int]
Draw = ImageDraw.ImageDraw
Picture = tuple[Image.Image, str, str]  # the image, a question answered Yes, a question answered No
Recipe = Callable[[random.Random], Picture]
Painter = Callable[[Draw, random.Random], None]

SIZE = 160
TRIES = 100  # drawings tried, for each picture, until its Yes question is new in its category
RED, GREEN, BLUE, PURPLE = (215, 30, 35), (30, 150, 60), (35, 85, 215), (135, 45, 165)
YELLOW, BLACK, WHITE, GREY = (245, 205, 0), (25, 25, 25), (255, 255, 255), (120, 120, 125)
BROWN, SAND, SKY, NIGHT, GRASS = (120, 75, 40), (235, 210, 150), (170, 215, 245), (10, 15, 50), (130, 185, 90)
INKS = [RED, GREEN, BLUE, PURPLE, BLACK]  # those that stand out on paper
COLOURS = {"red": RED, "green": GREEN, "blue": BLUE, "purple": PURPLE, "black": BLACK, "yellow": YELLOW}
# How far each corner is from the centre, in radii; corners are evenly spaced, the first on top. A circle has none.
SHAPES = {"circle": [], "triangle": [1.1] * 3, "diamond": [1.0] * 4, "star": [1.1, 0.45] * 5}
TITLES = ["NOVA", "RIVER", "TIGER", "DREAM", "COMET", "ISLAND"]
NAMES = ["Ada", "Ben", "Cleo", "Dan", "Eva", "Finn", "Gus", "Ida"]
WORDS = ["lamp", "ship", "cloud", "apple", "train", "music", "bread", "stone"]
# What is asked about, and the text that is drawn for it.
SUMS = {"7": "3 + 4", "13": "8 + 5", "9": "15 - 6", "4": "11 - 7", "12": "3 x 4", "10": "2 x 5", "8": "6 + 2"}
FRENCH = {"house": "maison", "dog": "chien", "book": "livre", "cheese": "fromage", "tree": "arbre", "milk": "lait"}
PROGRAMS = {"5": "print(2 + 3)", "8": "print(4 * 2)", "9": "print(max(6, 9))", "6": "x = 5\nprint(x + 1)"}
SIGNS = {"walk in": "OPEN", "come back another time": "CLOSED"}


def disc(draw: Draw, x: float, y: float, radius: float, colour: Colour) -> None:
    """Fill a circle."""
    draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=colour)


def shape(draw: Draw, name: str, x: float, y: float, radius: float, colour: Colour) -> None:
    """Fill one of SHAPES."""
    corners = [(radius * far, 2 * math.pi * i / len(SHAPES[name])) for i, far in enumerate(SHAPES[name])]
    if corners:
        draw.polygon([(x + far * math.sin(turn), y - far * math.cos(turn)) for far, turn in corners], fill=colour)
    else:
        disc(draw, x, y, radius, colour)


def ground(draw: Draw, horizon: int, above: Colour, below: Colour) -> None:
    """Fill the whole image with a sky and what lies under it."""
    draw.rectangle((0, 0, SIZE, horizon), fill=above)
    draw.rectangle((0, horizon, SIZE, SIZE), fill=below)


def write(draw: Draw, text: str, size: int, x: float, y: float, ink: Colour = BLACK) -> None:
    """Centre a text on a point."""
    draw.text((x, y), text, fill=ink, font=ImageFont.load_default(size=size), anchor="mm")


def blank(rng: random.Random) -> tuple[Image.Image, Draw]:
    """A sheet of pale paper, of a tint of its own."""
    image = Image.new("RGB", (SIZE, SIZE), (rng.randint(228, 255), rng.randint(228, 255), rng.randint(228, 255)))
    return image, ImageDraw.Draw(image)


def scattered(rng: random.Random, names: list[str]) -> Image.Image:
    """Paper with up to nine shapes that do not touch."""
    image, draw = blank(rng)
    grid = [(x, y) for x in (28, 80, 132) for y in (28, 80, 132)]
    for name, (x, y) in zip(names, rng.sample(grid, len(names)), strict=True):
        shape(draw, name, x + rng.randint(-5, 5), y + rng.randint(-5, 5), 19, rng.choice([*COLOURS.values()]))
    return image


# The recipes of the four categories about shapes, and the painters of the ten others.


def existence(rng: random.Random) -> Picture:
    there, also_there, absent = rng.sample([*SHAPES], 3)
    image = scattered(rng, [there, also_there, also_there])
    return image, f"Is there a {there} in this image?", f"Is there a {absent} in this image?"


def count(rng: random.Random) -> Picture:
    (right, wrong), (counted, other) = rng.sample(range(2, 7), 2), rng.sample([*SHAPES], 2)
    question = f"Are there exactly {{}} {counted}s in this image?"
    return scattered(rng, [counted] * right + [other]), question.format(right), question.format(wrong)


def position(rng: random.Random) -> Picture:
    image, draw = blank(rng)
    (one, other), dx, dy = rng.sample([*SHAPES], 2), *rng.choice([(-40, 0), (40, 0), (0, -40), (0, 40)])
    x, y = rng.randint(68, 92), rng.randint(68, 92)
    shape(draw, one, x + dx, y + dy, 24, rng.choice(INKS))
    shape(draw, other, x - dx, y - dy, 24, YELLOW)
    sides = ["to the left of", "to the right of"] if dx else ["above", "below"]
    yes, no = sides if dx + dy < 0 else reversed(sides)
    return image, f"Is the {one} {yes} the {other}?", f"Is the {one} {no} the {other}?"


def color(rng: random.Random) -> Picture:
    image, draw = blank(rng)
    names, colours = rng.sample([*SHAPES], 2), rng.sample([*COLOURS], 2)
    for name, colour, x in zip(names, colours, rng.sample([45, 115], 2), strict=True):
        shape(draw, name, x, rng.randint(45, 115), 30, COLOURS[colour])
    return image, f"Is the {names[0]} {colours[0]}?", f"Is the {names[0]} {colours[1]}?"


def page(content: str, draw: Draw, rng: random.Random) -> None:
    lines = content.split("\n")
    size = min(36, 320 // max(map(len, lines)), 84 // len(lines))
    write(draw, content, size, rng.randint(76, 84), rng.randint(60, 100), rng.choice(INKS))


def poster(title: str, draw: Draw, rng: random.Random) -> None:
    draw.rectangle((20, 4, 140, 156), fill=rng.choice(INKS))
    draw.rectangle((20, 14, 140, 48), fill=WHITE)
    write(draw, title, 26, 80, 31)
    shape(draw, rng.choice([*SHAPES]), rng.randint(65, 95), 102, 36, rng.choice([WHITE, YELLOW, SAND, SKY]))


def face(name: str, draw: Draw, rng: random.Random) -> None:
    draw.ellipse((25, 100, 135, 230), fill=rng.choice(INKS))
    disc(draw, 80, 54, rng.randint(44, 50), rng.choice([BLACK, BROWN, YELLOW, GREY]))
    disc(draw, 80, 62, 38, rng.choice([(250, 215, 185), (215, 165, 120), (160, 110, 80)]))
    disc(draw, 66, 58, 4, BLACK)
    disc(draw, 94, 58, 4, BLACK)
    draw.arc((64, 62, 96, 86), 20, 160, fill=RED, width=3)
    draw.rectangle((45, 118, 115, 150), fill=WHITE, outline=BLACK)
    write(draw, name, 26, 80, 134)


def beach(draw: Draw, rng: random.Random) -> None:
    x = rng.randint(45, 115)
    ground(draw, 98, BLUE, SAND)
    draw.rectangle((0, 0, SIZE, 62), fill=SKY)
    disc(draw, SIZE - x, 26, 15, YELLOW)
    draw.line((x, 100, x, 150), fill=BROWN, width=4)
    draw.pieslice((x - 32, 75, x + 32, 135), 180, 360, fill=RED)


def night_sky(draw: Draw, rng: random.Random) -> None:
    x, y = rng.randint(40, 120), rng.randint(40, 70)
    ground(draw, SIZE, NIGHT, NIGHT)
    for _ in range(30):
        shape(draw, "star", rng.randint(5, 155), rng.randint(5, 155), rng.randint(3, 5), WHITE)
    disc(draw, x, y, 22, SAND)
    disc(draw, x + 10, y - 4, 18, NIGHT)


def forest(draw: Draw, rng: random.Random) -> None:
    ground(draw, 110, SKY, GRASS)
    for i, column in enumerate(rng.sample(range(7), 7)):
        x, y = 8 + 24 * column, 105 + 6 * i
        draw.rectangle((x - 4, y - 40, x + 4, y), fill=BROWN)
        shape(draw, "triangle", x, y - 40, rng.randint(30, 38), (20, 90 + 8 * i, 50))


def city(draw: Draw, rng: random.Random) -> None:
    ground(draw, 135, SKY, BLACK)
    for left in range(4, SIZE - 20, 39):
        top = rng.randint(20, 80)
        draw.rectangle((left, top, left + 34, 135), fill=rng.choice([GREY, (95, 100, 120), (150, 110, 95)]))
        for y in range(top + 7, 122, 15):
            draw.line([(left + 6, y), (left + 29, y)], fill=SAND, width=7)


def pyramid(draw: Draw, rng: random.Random) -> None:
    x, top = rng.randint(65, 95), rng.randint(30, 50)
    ground(draw, 125, SKY, SAND)
    draw.polygon([(x, top), (x + 15, 145), (x - 60, 130)], fill=(215, 170, 90))
    draw.polygon([(x, top), (x + 60, 130), (x + 15, 145)], fill=(165, 120, 60))


def bridge(draw: Draw, rng: random.Random) -> None:
    deck, left = rng.randint(90, 102), rng.randint(30, 45)
    ground(draw, 118, SKY, BLUE)
    cable = [(x, deck - 8 - 52 * ((x - 80) / (80 - left)) ** 2) for x in range(left, SIZE - left + 1, 5)]
    draw.line([(0, deck), *cable, (SIZE, deck), (0, deck)], fill=RED, width=4)
    for x in (left, SIZE - left):
        draw.rectangle((x - 4, deck - 64, x + 4, 132), fill=RED)


def lighthouse(draw: Draw, rng: random.Random) -> None:
    x = rng.randint(55, 105)
    ground(draw, 125, NIGHT, BLUE)
    draw.polygon([(x, 35), (SIZE, 5), (SIZE, 60), (x, 35), (0, 60), (0, 5)], fill=SAND)
    disc(draw, x, 160, 40, GREY)
    for i in range(5):
        draw.rectangle((x - 11 - 2 * i, 48 + 16 * i, x + 11 + 2 * i, 64 + 16 * i), fill=WHITE if i % 2 else RED)
    draw.rectangle((x - 9, 25, x + 9, 47), fill=YELLOW, outline=BLACK, width=2)
    shape(draw, "triangle", x, 20, 14, RED)


def clock_tower(draw: Draw, rng: random.Random) -> None:
    x = rng.randint(50, 110)
    ground(draw, 135, SKY, GRASS)
    shape(draw, "triangle", x, 32, 29, NIGHT)
    draw.rectangle((x - 24, 40, x + 24, 145), fill=SAND, outline=BROWN)
    disc(draw, x, 66, 20, BLACK)
    disc(draw, x, 66, 18, WHITE)
    draw.line([(x, 51), (x, 66), (x + rng.choice([-10, 10]), rng.randint(60, 72))], fill=BLACK, width=3)


def stripes(draw: Draw, rng: random.Random) -> None:
    ink, step = rng.choice(INKS), rng.randint(16, 30)
    for x in range(0, SIZE, step):
        draw.rectangle((x, 0, x + step // 2, SIZE), fill=ink)


def checkerboard(draw: Draw, rng: random.Random) -> None:
    ink, side = rng.choice(INKS), rng.choice([16, 20, 32])
    for x in range(0, SIZE, side):
        for y in range(x % (2 * side), SIZE, 2 * side):
            draw.rectangle((x, y, x + side - 1, y + side - 1), fill=ink)


def rings(draw: Draw, rng: random.Random) -> None:
    ink, x, y = rng.choice(INKS), rng.randint(65, 95), rng.randint(65, 95)
    for radius in range(12, 150, 16):
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), outline=ink, width=7)


def traffic_light(lit: int, draw: Draw, rng: random.Random) -> None:
    x = rng.randint(50, 110)
    draw.line((x, 120, x, SIZE), fill=GREY, width=10)
    draw.rounded_rectangle((x - 24, 10, x + 24, 128), 10, fill=BLACK)
    for i, colour in enumerate([(255, 40, 40), YELLOW, (40, 220, 80)]):
        disc(draw, x, 33 + 36 * i, 15, colour if i == lit else (75, 75, 75))


def painted(question: str, painters: Mapping[str, Painter], rng: random.Random) -> Picture:
    """Paint one thing, and ask about that thing and about another of the same table."""
    image, draw = blank(rng)
    thing, other = rng.sample([*painters], 2)
    painters[thing](draw, rng)
    return image, question.format(thing), question.format(other)


def texts(table: dict[str, str]) -> dict[str, Painter]:
    """The painters that draw the texts of a table."""
    return {asked: partial(page, drawn) for asked, drawn in table.items()}


SCENES = {"a beach": beach, "a night sky": night_sky, "a forest": forest, "a city": city}
LANDMARKS = {"a pyramid": pyramid, "a bridge": bridge, "a lighthouse": lighthouse, "a clock tower": clock_tower}
ARTWORKS = {"stripes": stripes, "checkerboard squares": checkerboard, "concentric rings": rings}
LIGHTS = {"stop": partial(traffic_light, 0), "drive on": partial(traffic_light, 2)}


def commonsense_reasoning(rng: random.Random) -> Picture:
    if rng.random() < 0.5:
        return painted("Should the driver facing this traffic light {}?", LIGHTS, rng)
    return painted("Should a customer who reads this shop sign {}?", texts(SIGNS), rng)


RECIPES: dict[str, Recipe] = {
    "existence": existence,
    "count": count,
    "position": position,
    "color": color,
    "posters": partial(painted, "Is this poster titled {}?", {title: partial(poster, title) for title in TITLES}),
    "celebrity": partial(painted, "Is this person called {}?", {name: partial(face, name) for name in NAMES}),
    "scene": partial(painted, "Is this a picture of {}?", SCENES),
    "landmark": partial(painted, "Does this image show {}?", LANDMARKS),
    "artwork": partial(painted, "Is this artwork made of {}?", ARTWORKS),
    "OCR": partial(painted, 'Is the word in this image "{}"?', texts({word: word for word in WORDS})),
    "commonsense_reasoning": commonsense_reasoning,
    "numerical_calculation": partial(painted, "Is the answer to the arithmetic question {}?", texts(SUMS)),
    "text_translation": partial(painted, 'Does this French word mean "{}" in English?', texts(FRENCH)),
    "code_reasoning": partial(painted, "Is the output of this Python code {}?", texts(PROGRAMS)),
}


def make_questions(out: Path, *, seed: int = 0, images_per_category: int = 4) -> list[dict[str, str]]:
    """Write the images and the question file under `out`, and return the rows of that file."""
    rows = []
    for category, recipe in RECIPES.items():
        rng, asked = random.Random(f"{seed} {category}"), set[str]()
        (out / "images" / category).mkdir(parents=True, exist_ok=True)
        for number in range(1, images_per_category + 1):
            for _ in range(TRIES):
                image, yes, no = recipe(rng)
                if yes not in asked:
                    break
            asked.add(yes)
            name = f"{category}/{number:04d}.png"
            image.save(out / "images" / name)
            for question, answer in rng.sample([(yes, "Yes"), (no, "No")], 2):
                question += " Please answer yes or no."
                row = {"question_id": name, "image_file": name, "question": question, "answer": answer}
                rows.append(row | {"category": category})
    content = json.dumps(rows, indent=2, ensure_ascii=False) + "\n"
    (out / "MME_test.json").write_text(content, encoding="utf-8")
    return rows


def main() -> None:
    """Read the command line, make the questions and say what was written."""
    parser = argparse.ArgumentParser(description="Draw the demo's images and write its questions.")
    parser.add_argument("--out", type=Path, default=Path("data/demo"), help="the folder to write")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--images-per-category", type=int, default=4)
    args = parser.parse_args()
    rows = make_questions(args.out, seed=args.seed, images_per_category=args.images_per_category)
    print(f"Wrote {len(rows)} questions on {len(rows) // 2} images to {args.out}")


if __name__ == "__main__":
    main()
