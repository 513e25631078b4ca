"""Draw the sample pictures of this folder: the project's own, recognised rightly by the bundled model.

python samples/draw.py [FOLDER]
"""

import sys
from pathlib import Path

from PIL import Image, ImageDraw, ImageFilter

SIDE = 512
Draw = ImageDraw.ImageDraw


def sky(top: tuple[int, int, int], bottom: tuple[int, int, int]) -> Image.Image:
    """A square with a vertical gradient."""
    column = Image.new("RGB", (1, SIDE))
    for y in range(SIDE):
        share = y / SIDE
        column.putpixel((0, y), tuple(round(a + (b - a) * share) for a, b in zip(top, bottom, strict=True)))
    return column.resize((SIDE, SIDE))


def airplane() -> Image.Image:
    image = sky((70, 130, 200), (190, 220, 245))
    draw = ImageDraw.Draw(image)
    white, shade, dark = (238, 240, 244), (190, 196, 206), (60, 70, 90)
    draw.polygon([(250, 250), (150, 120), (190, 120), (330, 245)], fill=shade)
    draw.polygon([(60, 285), (80, 245), (400, 225), (455, 250), (470, 268), (440, 285), (140, 300)], fill=white)
    draw.polygon([(75, 260), (40, 165), (80, 165), (140, 250)], fill=(30, 70, 150))
    draw.polygon([(85, 275), (30, 250), (60, 245), (130, 262)], fill=shade)
    draw.polygon([(290, 272), (190, 400), (235, 400), (360, 268)], fill=shade)
    draw.ellipse((235, 320, 285, 345), fill=dark)
    for x in range(160, 410, 22):
        draw.ellipse((x, 250, x + 10, 262), fill=dark)
    draw.polygon([(430, 246), (455, 252), (462, 260), (432, 258)], fill=dark)
    return image


def ship() -> Image.Image:
    image = sky((150, 190, 225), (225, 235, 240))
    draw = ImageDraw.Draw(image)
    draw.rectangle((0, 330, SIDE, SIDE), fill=(25, 75, 120))
    for y in range(345, SIDE, 18):
        draw.line([(x, y + (6 if x // 16 % 2 else 0)) for x in range(0, SIDE + 16, 16)], fill=(70, 125, 165), width=3)
    draw.polygon([(40, 280), (475, 270), (430, 375), (85, 375)], fill=(160, 35, 35))
    draw.polygon([(40, 280), (475, 270), (462, 300), (52, 308)], fill=(30, 35, 50))
    draw.rectangle((120, 215, 380, 276), fill=(240, 240, 235))
    draw.rectangle((160, 165, 310, 218), fill=(225, 225, 220))
    draw.polygon([(190, 165), (198, 95), (250, 95), (258, 165)], fill=(200, 60, 40))
    draw.rectangle((196, 95, 252, 112), fill=(20, 20, 25))
    for x in range(135, 370, 28):
        draw.rectangle((x, 235, x + 14, 252), fill=(50, 80, 110))
    draw.line((345, 215, 345, 110), fill=(90, 90, 90), width=5)
    return image


def _wheels(draw: Draw, y: int, radius: int, *xs: int) -> None:
    for x in xs:
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=(20, 20, 22))
        inner = radius // 2
        draw.ellipse((x - inner, y - inner, x + inner, y + inner), fill=(170, 172, 178))


def automobile() -> Image.Image:
    image = sky((205, 215, 225), (230, 232, 232))
    draw = ImageDraw.Draw(image)
    draw.rectangle((0, 340, SIDE, SIDE), fill=(105, 105, 108))
    draw.ellipse((40, 375, 480, 420), fill=(60, 60, 62))
    red = (190, 25, 30)
    draw.polygon([(130, 245), (190, 165), (335, 165), (405, 245)], fill=red)
    draw.polygon([(150, 243), (198, 180), (258, 180), (258, 243)], fill=(60, 85, 105))
    draw.polygon([(270, 243), (270, 180), (328, 180), (382, 243)], fill=(60, 85, 105))
    draw.polygon([(35, 270), (60, 245), (430, 240), (480, 275), (482, 350), (30, 350)], fill=red)
    draw.rectangle((30, 335, 482, 355), fill=(110, 12, 16))
    draw.ellipse((445, 270, 480, 295), fill=(250, 240, 190))
    draw.rectangle((32, 275, 50, 300), fill=(240, 120, 60))
    _wheels(draw, 352, 52, 125, 385)
    return image


def truck() -> Image.Image:
    image = sky((160, 195, 230), (215, 225, 230))
    draw = ImageDraw.Draw(image)
    draw.rectangle((0, 370, SIDE, SIDE), fill=(120, 115, 105))
    draw.rectangle((20, 110, 340, 335), fill=(235, 235, 230))
    for x in range(40, 340, 40):
        draw.line((x, 112, x, 333), fill=(205, 205, 200), width=3)
    draw.polygon([(350, 335), (350, 175), (430, 175), (485, 255), (495, 335)], fill=(200, 150, 30))
    draw.polygon([(375, 250), (375, 195), (422, 195), (458, 250)], fill=(55, 75, 95))
    draw.rectangle((20, 330, 495, 365), fill=(45, 45, 50))
    draw.rectangle((478, 300, 498, 325), fill=(255, 245, 200))
    _wheels(draw, 370, 42, 85, 180, 415)
    return image


def bird() -> Image.Image:
    image = sky((120, 170, 110), (165, 200, 140))
    draw = ImageDraw.Draw(image)
    draw.line((0, 430, SIDE, 400), fill=(95, 70, 45), width=26)
    draw.polygon([(120, 330), (20, 400), (45, 420), (190, 360)], fill=(90, 65, 50))
    draw.ellipse((110, 190, 340, 390), fill=(170, 120, 80))
    draw.ellipse((180, 240, 350, 395), fill=(230, 205, 165))
    draw.ellipse((265, 115, 395, 245), fill=(150, 95, 60))
    draw.polygon([(385, 165), (450, 185), (385, 200)], fill=(60, 50, 45))
    draw.ellipse((335, 155, 360, 180), fill=(10, 10, 10))
    draw.ellipse((345, 160, 352, 167), fill=(250, 250, 250))
    draw.polygon([(130, 230), (250, 250), (150, 360), (60, 360)], fill=(110, 75, 50))
    for x in (230, 275):
        draw.line((x, 385, x, 420), fill=(60, 45, 35), width=7)
    return image


def frog() -> Image.Image:
    image = sky((95, 80, 55), (130, 110, 75))
    draw = ImageDraw.Draw(image)
    green, dark = (90, 140, 50), (55, 95, 35)
    draw.ellipse((40, 380, 470, 470), fill=(85, 70, 48))
    draw.ellipse((60, 270, 220, 440), fill=dark)
    draw.ellipse((300, 270, 460, 440), fill=dark)
    draw.ellipse((95, 160, 420, 430), fill=green)
    draw.ellipse((150, 290, 365, 435), fill=(195, 200, 130))
    for x in (125, 305):
        draw.ellipse((x, 105, x + 90, 195), fill=green)
        draw.ellipse((x + 18, 122, x + 72, 176), fill=(220, 190, 60))
        draw.ellipse((x + 33, 132, x + 57, 166), fill=(10, 10, 10))
    draw.arc((150, 190, 365, 310), 20, 160, fill=(40, 65, 25), width=7)
    for x, y in ((180, 200), (240, 175), (310, 215), (360, 260), (130, 260)):
        draw.ellipse((x, y, x + 26, y + 20), fill=dark)
    return image


SAMPLES = (airplane, automobile, bird, frog, ship, truck)


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for paint in SAMPLES:
        path = folder / f"{paint.__name__}.png"
        paint().filter(ImageFilter.GaussianBlur(1.2)).quantize(128).save(path, optimize=True)
        print(path)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent)
