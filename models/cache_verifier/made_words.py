"""Words that made pairs are filled with."""

from __future__ import annotations

PEOPLE = (
    "Amara", "Bogdan", "Chiara", "Deniz", "Elif", "Farid", "Greta", "Hiro", "Ines", "Jakub",
    "Kofi", "Leila", "Marek", "Nadia", "Olga", "Priya", "Quentin", "Rosa", "Sven", "Tamar",
    "Usha", "Viktor", "Wanda", "Yusuf", "Zoe", "Mr. Ortega", "Dr. Lindqvist", "Anna Petrova",
)  # fmt: skip
PLACES = (
    "Paris", "Lagos", "Denver", "Oslo", "Lima", "Kyoto", "Cairo", "Austin", "Perth", "Dublin",
    "Brazil", "Norway", "Kenya", "Canada", "Vietnam", "Chile",
)  # fmt: skip
THINGS = (
    "laptop", "car", "house", "camera", "bicycle", "letter", "contract", "piano", "kite", "garden",
    "bridge", "report", "parcel", "ticket", "boat", "painting",
)  # fmt: skip
PLURALS = (
    "cats", "trucks", "rivers", "laptops", "nurses", "mountains", "trains", "novels", "bees",
    "teachers", "oranges", "planets", "hospitals", "batteries",
)  # fmt: skip
TOPICS = (
    "the refund policy", "a mortgage", "photosynthesis", "the python logging module", "my account",
    "travel insurance", "a pull request", "the quarterly report", "vitamin d", "a docker container",
    "the printer", "my phone", "a credit card", "the water heater", "a savings account",
)  # fmt: skip
JOBS = (
    "pilot", "nurse", "baker", "lawyer", "carpenter", "dentist", "plumber", "surgeon", "poet",
    "tailor", "farmer", "chemist", "coach", "drummer",
)  # fmt: skip
LOOKS = (
    "tired", "wealthy", "Danish", "vegetarian", "married", "famous", "blind", "retired", "Catholic",
    "left-handed", "Swiss", "deaf", "rich", "shy", "bald", "Korean",
)  # fmt: skip
MATTERING = (
    "used", "former", "part-time", "certified", "young", "retired", "licensed", "cheap", "foreign",
    "unlicensed", "famous", "aspiring", "pretend", "solo",
)  # fmt: skip
FILLERS = (
    "really", "actually", "just", "honestly", "basically", "simply", "literally", "currently",
    "indeed", "in fact", "truly", "certainly", "definitely", "surely",
)  # fmt: skip
ANTONYMS = (
    ("on", "off"), ("enable", "disable"), ("increase", "decrease"), ("open", "close"),
    ("lock", "unlock"), ("add", "remove"), ("start", "stop"), ("buy", "sell"), ("raise", "lower"),
    ("install", "uninstall"), ("mute", "unmute"), ("accept", "reject"), ("import", "export"),
    ("encrypt", "decrypt"), ("upload", "download"), ("hide", "show"), ("activate", "deactivate"),
)  # fmt: skip
QUALITIES = (
    ("strong", "weak"), ("calm", "nervous"), ("generous", "greedy"), ("brave", "cowardly"),
    ("patient", "impatient"), ("tidy", "messy"), ("honest", "dishonest"), ("quiet", "loud"),
    ("careful", "careless"), ("lazy", "diligent"), ("happy", "sad"), ("friendly", "hostile"),
    ("flexible", "rigid"), ("cheap", "expensive"), ("safe", "unsafe"), ("fast", "slow"),
)  # fmt: skip
COMPARED = ("bigger", "faster", "cheaper", "heavier", "older", "quieter", "safer", "more useful")
ASYMMETRIC = (
    "suing", "teaching", "following", "paying", "chasing", "feeding", "helping", "older than",
    "in love with", "angry at", "afraid of", "the boss of", "calling", "blaming",
)  # fmt: skip
SYMMETRIC = (
    "married to", "friends with", "similar to", "related to", "next to", "the same age as",
    "in touch with", "acquainted with", "equal to", "competing with", "different from",
)  # fmt: skip
VERBS = (
    ("paint", "painted"), ("sell", "sold"), ("break", "broken"), ("build", "built"),
    ("steal", "stolen"), ("repair", "repaired"), ("find", "found"), ("lose", "lost"),
    ("buy", "bought"), ("clean", "cleaned"), ("sign", "signed"), ("design", "designed"),
)  # fmt: skip
DOING = ("swim", "jog", "phone", "eat", "sleep", "study", "drive", "water plants", "drink coffee")
FINE = ("healthy", "legal", "fine", "wise", "polite", "risky", "common", "allowed")
UNITS = (
    ("miles", "kilometers"), ("pounds", "kilograms"), ("euros", "dollars"), ("hours", "minutes"),
    ("feet", "meters"), ("celsius", "fahrenheit"), ("days", "weeks"), ("cups", "liters"),
)  # fmt: skip
DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
WHEN = ("yesterday", "today", "tomorrow", "last week", "next week", "this month", "last month")
ORDINALS = ("first", "second", "third", "last", "fourth")
POLITE = (
    "{}", "please tell me {}", "can you tell me {}", "i'd like to know {}", "hey, {}", "{} please",
    "hi there, {}", "could you explain {}", "i want to know {}", "{} thanks", "quick question: {}",
)  # fmt: skip
CLAUSES = (
    "how do i cancel {t}", "what does {t} cost", "how long does {t} take",
    "who is in charge of {t}",
    "where can i find {t}", "when does {t} expire", "what is the best way to compare {t}",
    "how can i change {t}", "why is {t} so slow", "what are the risks of {t}",
)  # fmt: skip
