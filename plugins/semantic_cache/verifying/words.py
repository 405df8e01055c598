"""Words whose exchange changes a question: small sets, written by hand, English."""

from __future__ import annotations


def _words(said: str) -> frozenset[str]:
    return frozenset(said.split())


CONTRACTIONS = {
    "can't": ("can", "not"), "won't": ("will", "not"), "shan't": ("shall", "not"),
    "ain't": ("is", "not"), "cannot": ("can", "not"), "i'm": ("i", "am"),
    "what's": ("what", "is"), "who's": ("who", "is"), "where's": ("where", "is"),
    "how's": ("how", "is"), "it's": ("it", "is"), "that's": ("that", "is"),
    "there's": ("there", "is"), "let's": ("let", "us"), "when's": ("when", "is"),
}  # fmt: skip

NEGATIONS = _words(
    """no not never none nobody nothing neither nor without lacking fails fail nowhere hardly
    unable refuse refused wasnt isnt dont doesnt didnt wont cant"""
)

# Left out of what a text is about; some of them are in other sets too.
STOPWORDS = _words(
    """a an the i me my mine we us our you your he him his she her it its they them their this that
    these those is am are was were be been being do does did doing done have has had having
    will would shall should can could may might must of to in on at by for from with about as
    into and or but if then than so too there here what which who whom whose when where why
    how please just really actually any some let get got want need like tell know out up s t d
    m ve ll re hey hi hello thanks thank okay ok oh well"""
)

FILLERS = _words(
    """really actually just honestly basically simply literally currently indeed truly certainly
    definitely surely fact please thanks thank hey hi hello kindly maybe quick quickly okay ok
    well so oh um uh sorry anyway now also even still very quite pretty exactly i you me can
    could would tell know want like wonder wondering explain question ask let there do we need
    my the a an is are am in to it that this be of for right"""
)

QUESTION_WORDS = _words("who whom whose what which when where why how")

# Of each pair either word turns the direction of what is asked.
_OPPOSITES = """
on/off enable/disable increase/decrease open/close open/closed lock/unlock add/remove
start/stop start/end begin/end buy/sell raise/lower install/uninstall mute/unmute
accept/reject import/export encrypt/decrypt upload/download hide/show activate/deactivate
up/down in/out push/pull send/receive borrow/lend win/lose pass/fail arrive/depart
arrival/departure enter/exit inside/outside more/less most/least many/few max/min
maximum/minimum highest/lowest high/low higher/lower bigger/smaller larger/smaller
biggest/smallest largest/smallest longer/shorter longest/shortest older/younger
oldest/youngest newest/oldest new/old faster/slower fast/slow fastest/slowest cheaper/pricier
cheap/expensive cheapest/costliest better/worse best/worst good/bad hot/cold warm/cool
hotter/colder early/late earlier/later before/after first/last next/previous past/future
ancient/modern ascending/descending left/right north/south east/west top/bottom above/below
over/under always/never all/none everyone/nobody true/false yes/no legal/illegal
possible/impossible safe/unsafe safe/dangerous healthy/unhealthy correct/incorrect right/wrong
success/failure positive/negative optimistic/pessimistic hopeful/hopeless polite/rude
polite/impolite secure/insecure humble/proud humble/arrogant brave/cowardly brave/fearful
strong/weak happy/sad happy/unhappy rich/poor calm/nervous calm/anxious generous/greedy
generous/selfish patient/impatient tidy/messy honest/dishonest quiet/loud careful/careless
lazy/diligent lazy/hardworking friendly/hostile friendly/unfriendly friendly/mean
flexible/rigid easy/hard easy/difficult simple/complex smart/stupid smart/dumb
intelligent/stupid active/passive active/inactive visible/invisible public/private major/minor
male/female full/empty dry/wet light/dark light/heavy thick/thin fat/thin wide/narrow
deep/shallow love/hate like/dislike agree/disagree allow/forbid permit/prohibit allow/deny
approve/deny include/exclude connect/disconnect subscribe/unsubscribe follow/unfollow
block/unblock pin/unpin freeze/unfreeze deposit/withdraw credit/debit income/expense
profit/loss save/spend gain/lose create/delete create/destroy build/destroy attack/defend
question/answer parent/child husband/wife mother/father son/daughter brother/sister uncle/aunt
male/female day/night morning/evening am/pm summer/winter sweet/sour kind/cruel kind/mean
confident/insecure confident/shy outgoing/shy introverted/extroverted organized/disorganized
responsible/irresponsible mature/immature religious/secular liberal/conservative
progressive/conservative violent/peaceful interesting/boring useful/useless helpful/unhelpful
normal/abnormal moral/immoral specific/vague specific/general reasonable/unreasonable
important/unimportant common/rare present/absent sufficient/insufficient enough/insufficient
effective/ineffective upgrade/downgrade load/unload expand/shrink expand/collapse grow/shrink
merge/split join/leave attach/detach same/different
"""

OPPOSITES: dict[str, frozenset[str]] = {}
for _pair in _OPPOSITES.split():
    _one, _other = _pair.split("/")
    OPPOSITES[_one] = OPPOSITES.get(_one, frozenset()) | {_other}
    OPPOSITES[_other] = OPPOSITES.get(_other, frozenset()) | {_one}

# One direction counts against the other wherever it stands: "more polite" is "less rude".
DIRECTIONS = {"more": 1, "most": 1, "less": -1, "least": -1, "fewer": -1}

TIMES = _words(
    """before after during until till since while yesterday today tomorrow tonight now then
    once used
    former formerly previously later earlier already yet still ago last next first second
    third fourth fifth final past future current recent recently soon anymore longer become
    became was were will would been had did monday tuesday wednesday thursday friday saturday
    sunday january february march april may june july august september october november
    december morning noon afternoon evening night midnight week weekend month year day hour
    minute am pm spring summer autumn fall winter"""
)
# Which of two tells of the past or of the future: "is" and "was" are not the same question.
PAST = _words("was were did had used former formerly once been previously")
FUTURE = _words("will shall become gonna")

QUANTIFIERS = _words(
    """all every each any some none no both either neither only always never often sometimes
    rarely usually most many few several half twice entire whole except simultaneously together
    alone at-once least most and or nor"""
)

UNITS = _words(
    """mile miles km kilometer kilometers kilometre kilometres meter meters metre metres feet foot
    inch inches yard yards cm mm pound pounds lb lbs kg kilogram kilograms gram grams g ounce
    ounces oz ton tons euro euros dollar dollars usd eur gbp yen cent cents hour hours minute
    minutes second seconds day days week weeks month months year years celsius fahrenheit
    kelvin cup cups liter liters litre litres gallon gallons teaspoon teaspoons tablespoon
    tablespoons percent byte bytes kb mb gb tb"""
)

_UP_TO_TWENTY = (
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven",
    "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen",
    "twenty",
)  # fmt: skip
_OTHER_NUMBERS = {
    "thirty": "30", "forty": "40", "fifty": "50", "sixty": "60", "seventy": "70", "eighty": "80",
    "ninety": "90", "hundred": "100", "thousand": "1000", "million": "1000000", "dozen": "12",
    "twice": "2", "double": "2", "triple": "3", "thrice": "3", "half": "1/2", "quarter": "1/4",
}  # fmt: skip
NUMBER_WORDS = {word: str(at) for at, word in enumerate(_UP_TO_TWENTY)} | _OTHER_NUMBERS

PRONOUNS = {
    "he": "m", "him": "m", "his": "m", "she": "f", "her": "f", "hers": "f",
    "i": "1", "me": "1", "my": "1", "you": "2", "your": "2", "they": "3", "them": "3", "their": "3",
}  # fmt: skip

# Between two names they say the same in both orders.
SYMMETRIC = _words(
    """and or married friends friend similar related next same equal connected close dating engaged
    different meeting met touch acquainted neighbors neighbours siblings cousins twins together
    between competing competitor partners identical compatible adjacent near parallel
    separated divorced roommates colleagues with compared versus vs difference or"""
)

COMPARING = _words("which what whether who")
