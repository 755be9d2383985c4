"""What the avatars' drawings are called in words: tables, written by looking at each part of three dicebear styles.

A text may name colours of the style in braces, as in ``a {hat} hat``. Parts that are left out are not drawn for
identities, or vary from picture to picture (eyes, eyebrows, mouths), since no caption speaks of them.
"""

from __future__ import annotations

from dataclasses import dataclass, field

Words = dict[str, tuple[str, ...]]
"""Ways to say it, by variant (``component/second component`` where it takes two) or by colour code."""


@dataclass(frozen=True)
class Part:
    """One component of an avatar.

    :param component: dicebear's names of it, two where variants are pairs.
    :param has: what a person has (hair, beards), by variant.
    :param wears: what a person wears.
    :param share: of persons who have it at all.
    """

    component: tuple[str, ...]
    has: Words = field(default_factory=dict)
    wears: Words = field(default_factory=dict)
    share: float = 1.0


@dataclass(frozen=True)
class Style:
    """One way to draw persons.

    :param parts: that captions speak of, all fixed by identity.
    :param colors: by dicebear's name; those in one tuple are the same on each person.
    :param absent: components that nobody has.
    """

    name: str
    parts: tuple[Part, ...]
    colors: dict[tuple[str, ...], Words]
    absent: tuple[str, ...] = ()


_NATURAL_HAIR: Words = {
    "#2c1b18": ("black",), "#4a312c": ("dark brown",), "#a55728": ("reddish brown", "auburn"),
    "#d6b370": ("blond", "light blond"), "#c93305": ("red", "ginger"), "#e8e1e1": ("grey", "silver"),
    "#f59797": ("pink",),
}

AVATAAARS = Style("avataaars", (
    Part(("top",), has={
        "bigHair": ("very long wavy {hair} hair", "big wavy {hair} hair"), "bob": ("a {hair} bob",),
        "bun": ("{hair} hair in a bun", "a {hair} topknot"), "curly": ("thick curly {hair} hair",),
        "curvy": ("long {hair} curls", "long curly {hair} hair"),
        "dreads": ("long {hair} dreadlocks",), "dreads01": ("short {hair} dreadlocks", "short frizzy {hair} hair"),
        "dreads02": ("spiky {hair} hair", "{hair} hair sticking out on all sides"),
        "frida": ("flowers in the hair", "a wreath of flowers in {hair} hair"),
        "frizzle": ("a {hair} tuft of hair on a shaved head",), "fro": ("a {hair} afro", "a big {hair} afro"),
        "froBand": ("a {hair} afro with a headband",),
        "longButNotTooLong": ("{hair} hair down to the shoulders", "shoulder-length {hair} hair"),
        "miaWallace": ("a {hair} bob with bangs", "chin-length {hair} hair with a fringe"),
        "shaggy": ("shaggy {hair} hair", "messy {hair} hair"), "shaggyMullet": ("a {hair} mullet",),
        "shavedSides": ("long {hair} hair shaved on one side",),
        "shortCurly": ("short curly {hair} hair",), "shortFlat": ("short {hair} hair",),
        "shortRound": ("short round {hair} hair",), "shortWaved": ("short wavy {hair} hair",),
        "sides": ("a bald head with {hair} hair at the sides", "a bald top"),
        "straight01": ("long straight {hair} hair",), "straight02": ("long {hair} hair to one side",),
        "theCaesar": ("very short {hair} hair", "{hair} hair in a buzz cut"),
    }, wears={
        "hat": ("a {hat} hat with a wide brim", "a wide {hat} hat"), "hijab": ("a {hat} hijab", "a {hat} headscarf"),
        "turban": ("a {hat} turban",), "winterHat02": ("a patterned {hat} winter hat with strings",),
        "winterHat03": ("a {hat} and white beanie", "a {hat} winter hat"),
        "winterHat04": ("a {hat} winter hat with cat ears",), "winterHat1": ("a {hat} winter hat with ear flaps",),
    }),
    Part(("clothes", "clothesGraphic"), wears={
        "blazerAndShirt": ("a {clothes} blazer over a white shirt", "a {clothes} jacket"),
        "collarAndSweater": ("a {clothes} sweater with a collar", "a {clothes} pullover over a shirt"),
        "hoodie": ("a {clothes} hoodie", "a {clothes} hooded sweatshirt"),
        "overall": ("{clothes} overalls", "{clothes} dungarees"),
        "shirtCrewNeck": ("a {clothes} T-shirt", "a plain {clothes} shirt"),
        "shirtScoopNeck": ("a {clothes} top with a wide neckline",),
        "shirtVNeck": ("a {clothes} shirt with a V-neck",),
        "graphicShirt/bat": ("a {clothes} T-shirt with a bat on it",),
        "graphicShirt/bear": ("a {clothes} T-shirt with a bear on it",),
        "graphicShirt/diamond": ("a {clothes} T-shirt with a diamond on it",),
        "graphicShirt/pizza": ("a {clothes} T-shirt with a slice of pizza on it",),
        "graphicShirt/skull": ("a {clothes} T-shirt with a skull on it",),
        "graphicShirt/resist": ("a {clothes} T-shirt with white letters",),
    }),
    Part(("facialHair",), has={
        "beardLight": ("a short {hair} beard", "a trimmed {hair} beard"),
        "beardMajestic": ("a long {hair} beard", "a big {hair} beard"), "beardMedium": ("a {hair} beard",),
        "moustacheFancy": ("a thin {hair} moustache",), "moustacheMagnum": ("a {hair} moustache",),
    }, share=0.35),
    Part(("accessories",), wears={
        "eyepatch": ("an eyepatch",), "kurt": ("large {accessories} sunglasses",),
        "prescription01": ("{accessories} glasses",), "round": ("round {accessories} glasses",),
        "sunglasses": ("sunglasses", "{accessories} sunglasses"),
    }, share=0.5),
), {
    ("hair", "facialHair"): _NATURAL_HAIR,
    ("hat",): {"#ff5c5c": ("red",), "#5199e4": ("blue",), "#262e33": ("black",), "#a7ffc4": ("light green", "mint"),
               "#ffffb1": ("light yellow", "pale yellow"), "#ff488e": ("pink",), "#929598": ("grey",)},
    ("clothes",): {"#ff5c5c": ("red",), "#5199e4": ("blue",), "#25557c": ("dark blue", "navy"),
                   "#262e33": ("black",), "#a7ffc4": ("light green", "mint"), "#ffffb1": ("light yellow", "cream"),
                   "#ff488e": ("pink", "bright pink"), "#929598": ("grey",), "#b1e2ff": ("light blue",)},
    ("accessories",): {"#262e33": ("black", "dark"), "#ff5c5c": ("red",), "#5199e4": ("blue",)},
    ("skin",): {tone: () for tone in ("#614335", "#ae5d29", "#d08b5b", "#edb98a", "#ffdbb4")},
})

MICAH = Style("micah", (
    Part(("hair",), has={
        "dannyPhantom": ("{hair} hair over the forehead", "{hair} hair with side bangs"),
        "dougFunny": ("a bald head with a few {hair} hairs",), "fonze": ("short {hair} hair combed back",),
        "full": ("long wavy {hair} hair", "very long {hair} hair"), "mrClean": ("a bald head", "no hair"),
        "mrT": ("a {hair} mohawk",), "pixie": ("{hair} hair in a short bob", "a short {hair} bob"),
    }, wears={"turban": ("a {hair} turban",)}),
    Part(("clothes",), wears={
        "collared": ("a {shirt} shirt with a collar", "a {shirt} shirt"),
        "crew": ("a {shirt} sweater", "a {shirt} T-shirt with a white collar"),
        "open": ("a {shirt} top with an open neck", "a {shirt} top"),
    }),
    Part(("facialHair",), has={"beard": ("a black beard", "a full beard"), "scruff": ("stubble", "an unshaven chin")},
         share=0.35),
    Part(("glasses",), wears={"round": ("round {glasses} glasses", "round glasses"),
                              "square": ("square {glasses} glasses", "square glasses")}, share=0.4),
    Part(("earrings",), wears={"hoop": ("a hoop earring", "a {earring} hoop earring"), "stud": ("an ear stud",)},
         share=0.3),
), {
    ("hair",): {"#000000": ("black",), "#77311d": ("dark brown", "brown"), "#f4d150": ("yellow", "bright blond"),
                "#9287ff": ("purple", "violet"), "#fc909f": ("pink",), "#6bd9e9": ("light blue", "turquoise"),
                "#ffffff": ("white",)},
    ("shirt",): {"#000000": ("black",), "#77311d": ("brown",), "#f4d150": ("yellow",), "#9287ff": ("purple", "violet"),
                 "#fc909f": ("pink",), "#6bd9e9": ("light blue", "turquoise"), "#ffffff": ("white",)},
    ("glasses",): {"#000000": ("black",), "#9287ff": ("purple",), "#f4d150": ("yellow",)},
    ("earring",): {"#f4d150": ("golden",), "#6bd9e9": ("blue",)},
    ("base",): {tone: () for tone in ("#f9c9b6", "#ac6651", "#77311d")},
})

OPEN_PEEPS = Style("open-peeps", (
    Part(("head",), has={
        "afro": ("a black afro",), "bangs": ("{headContrast} hair of medium length with bangs",),
        "bangs2": ("a black bob with bangs", "straight black hair with a fringe"),
        "bantuKnots": ("black hair in small knots",), "buns": ("black hair in several buns",),
        "bun2": ("black hair tied up with a band",), "cornrows": ("{headContrast} braids",),
        "dreads1": ("black dreadlocks",), "flatTopLong": ("a tall black flat top", "black hair cut flat"),
        "grayBun": ("{headContrast} hair in a bun",), "grayShort": ("short {headContrast} hair",),
        "long": ("long black hair",), "longAfro": ("a huge black afro",),
        "longCurly": ("long curly black hair",), "medium1": ("chin-length black hair",),
        "mohawk": ("a {headContrast} mohawk",), "noHair1": ("a shaved head", "a bald head"),
        "noHair3": ("a bald head with {headContrast} hair at the back",), "pomp": ("black hair combed up high",),
        "shaved3": ("messy black hair", "wild black hair"), "short1": ("short black hair",),
        "short4": ("{headContrast} hair combed back",), "twists2": ("short black twists",),
    }, wears={
        "hatBeanie": ("a {clothing} beanie", "a {clothing} knitted cap"),
        "hatHip": ("a black hat with a brim", "a black hat"), "hijab": ("a black hijab", "a black headscarf"),
        "turban": ("a {clothing} turban",),
    }),
    Part((), wears={"": ("a {clothing} T-shirt", "a {clothing} shirt", "a {clothing} top")}),
    Part(("facialHair",), has={
        "chin": ("a thin black beard along the jaw",), "full": ("a black beard",), "full3": ("a long black beard",),
        "full4": ("a {headContrast} beard",), "goatee2": ("a black goatee",),
        "moustache2": ("a black moustache", "a drooping moustache"), "moustache3": ("a big curled moustache",),
    }, share=0.35),
    Part(("accessories",), wears={
        "eyepatch": ("an eyepatch",), "glasses": ("thin glasses", "glasses"), "glasses3": ("black glasses", "glasses"),
        "glasses4": ("white glasses",), "sunglasses": ("sunglasses", "dark glasses"),
    }, share=0.45),
    Part(("mask",), wears={"medicalMask": ("a medical mask", "a face mask")}, share=0.1),
), {
    ("clothing",): {"#8fa7df": ("blue",), "#78e185": ("green",), "#ffcf77": ("orange", "light orange"),
                    "#e279c7": ("pink", "magenta"), "#e78276": ("red", "light red"), "#fdea6b": ("yellow",)},
    ("headContrast",): {**_NATURAL_HAIR, "#d6b370": ("blond",)},
    ("skin",): {tone: () for tone in ("#ffdbb4", "#edb98a", "#d08b5b", "#ae5d29", "#694d3d")},
})

STYLES = (AVATAAARS, AVATAAARS, MICAH, OPEN_PEEPS)
"""Drawn from with equal shares."""
