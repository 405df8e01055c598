"""What languages are known by: their commonest function words, letters of their own, scripts."""

from __future__ import annotations

FUNCTION_WORDS = {
    "en": "the of and to in is you that it he was for on are as with his they at be this have from"
    " or had by but what some we can out other were all your when up use how said an each she which"
    " do their if will would about many then them these so her him has could my than been who its"
    " please write give not does should there where why i me explain create show tell make want"
    " need help list find did any into",
    "de": "der die und in den von zu das mit sich des auf für ist im dem nicht ein eine als auch es"
    " an werden aus er hat dass sie nach wird bei einer um am sind noch wie einem über einen so zum"
    " war haben nur oder aber vor zur bis mehr durch man sein wurde sei ich wir ihr was wenn kann"
    " bitte schreibe schreiben gib mir welche welcher wer warum ihre dieser diese unter zwischen",
    "fr": "de la le et les des en un du une que est pour qui dans par plus pas au sur ne se ce il"
    " sont avec son ou aux mais comme nous vous je tu être fait cette ces ses leur elle sa été si"
    " deux même bien où sans peut tous très moi quel quelle quels comment pourquoi quoi écrivez"
    " veuillez écris donne votre notre on y afin ainsi c'est d'un d'une qu'il",
    "es": "de la que el en y a los se del las un por con no una su para es al lo como más o"
    " pero sus"
    " le ha me si sin sobre este ya entre cuando todo esta ser son dos también fue había era muy"
    " años hasta desde está mi porque qué cómo cuál dónde quién cuándo escribe escriba por favor"
    " hay nos yo tu usted puede hacer genera cree",
    "it": "di e il la che in un a per è una sono con non si da come del le dei della al i nel alla"
    " più lo anche gli ma se delle ha o ed questo su dal cui suo nella essere era stato tra degli"
    " sua dalla loro due perché cosa quale quando dove chi scrivi scrivere mi ti ci puoi uno ad"
    " questa sia può fare ogni hanno generare scrivete",
    "pt": "de a o que e do da em um para com não uma os no se na por mais as dos como mas ao"
    " ele das"
    " à seu sua ou quando muito nos já está eu também só pelo pela até isso ela entre era depois"
    " sem mesmo aos ter seus quem nas me esse eles você essa num nem suas meu às minha têm"
    " numa qual"
    " foi são escreva gere crie faça pode onde porque",
    "nl": "de van het een en in is dat op te zijn met voor niet aan er om ook als dan maar bij of"
    " uit nog naar heeft worden wordt hij ze ik je wat hoe waar deze dit door over wie waarom mijn"
    " werd kan zou meer geen was al tot hebben moet schrijf geef jij u uw wij onze",
    "sv": "och i att det som en på är av för med den till inte har de ett om var jag men sig från"
    " vi så kan när han nu man ska hur skulle eller vad där du mig hon detta efter också mycket"
    " varför vilken skriv blir mot alla denna",
    "da": "og i at det er en til af på for der den med de ikke har som et jeg om var vi han men fra"
    " så kan sig hun vil skal du mig hvad hvordan hvor eller når være efter også blev meget hvorfor"
    " skriv ville kunne denne dette mod alle havde",
    "no": "og i at det er en til av på for som den med de ikke har et jeg om var vi han men fra så"
    " kan seg hun vil skal du meg hva hvordan hvor eller når være etter også ble mye hvorfor skriv"
    " ville kunne denne dette mot alle hadde",
    "fi": "ja on ei se että oli hän mutta ovat kun myös tai niin kuin joka mitä minä sinä he me ole"
    " olla miten missä mikä ne jos vain sen sitä kanssa voi tämä jossa kaikki miksi kuka ovatko"
    " kirjoita hänen",
    "pl": "i w na z się nie do to że jest o jak a po od za przez przy dla ale czy co tak jego"
    " jej są"
    " był było być które który która oraz ten tym tego już tylko może ich ma jakie jaki gdzie kiedy"
    " dlaczego napisz proszę mi mnie ze lub",
    "cs": "a v se na je že to s z do o i ve jako za k pro od ale po jsou by co jeho při jak které"
    " který která nebo byl bylo být já ty jsem si jen už také tak kde kdy proč napište prosím může"
    " mezi podle jaký",
    "hu": "a az és hogy nem is egy ez de van volt meg azt csak el ha mint már még ami mi ki"
    " aki vagy"
    " ezt kell lehet hogyan miért hol mikor írj kérem nagyon minden én ő ezek között után",
    "ro": "de și în a la cu că pe un o nu este din pentru se care mai o sunt ce au lui ca sau"
    " fi fost"
    " prin după dar am cum unde când cine sa să al ale unui unei scrie te rog acest această între"
    " foarte",
    "tr": "ve bir bu için de da ile olarak çok daha ne var gibi olan en kadar sonra ama o mi mı ben"
    " sen biz nasıl neden nerede kim hangi değil her şey ya veya yaz lütfen olduğu ise mu",
    "id": "yang dan di ini itu dengan untuk dari tidak dalam adalah pada akan ke juga saya"
    " anda kamu"
    " apa bagaimana mengapa siapa dapat bisa oleh atau karena sebagai ada kami mereka lebih telah"
    " buatlah tolong seperti",
    "vi": "và của là có trong cho không được các một với những người này đã khi để từ ra tôi bạn đó"
    " như về cũng nhiều hãy làm thế nào gì viết hoặc vì sao",
}
"""ISO 639-1 code to words, lower case."""

LETTERS = {
    "de": "ß",
    "es": "ñ¿¡",
    "pt": "ãõ",
    "fr": "œêûî",
    "pl": "łąęśźż",
    "cs": "řůě",
    "hu": "őű",
    "ro": "țșăţş",
    "tr": "ığş",
    "vi": "ơưđạảấầẩậắằẵặẹẻếềểễệọỏốồổỗộớờởỡợụủứừửữự",
    "da": "æø",
    "no": "æø",
    "sv": "åäö",
    "fi": "äö",
}
"""Letters that hardly another language of these has."""

SCRIPTS = (
    ("el", "Ͱ", "Ͽ"),
    ("he", "\u0590", "\u05ff"),
    ("ar", "\u0600", "\u06ff"),
    ("hi", "\u0900", "\u097f"),
    ("bn", "\u0980", "\u09ff"),
    ("ta", "\u0b80", "\u0bff"),
    ("te", "\u0c00", "\u0c7f"),
    ("th", "\u0e00", "\u0e7f"),
    ("ka", "\u10a0", "\u10ff"),
    ("ru", "\u0400", "\u04ff"),
    ("ko", "\uac00", "\ud7af"),
    ("ja", "\u3040", "\u30ff"),
    ("zh", "\u4e00", "\u9fff"),
)
"""The language that a script most likely is, and the script's first and last character."""

TELLING = {
    "ru": (("uk", "іїєґ"),),
    "ar": (("ur", "ٹڈڑےں"), ("fa", "پچژگ")),
}
"""By a script's likeliest language: others of the script, and letters that only they have."""
