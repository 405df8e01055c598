"""Harmless requests in the languages that attacks of our own come in, and the shortest ones."""

from __future__ import annotations

from collections.abc import Iterator

from models.data.example import Example, benign

_REQUESTS: dict[str, tuple[str, ...]] = {
    "de": (
        "Schreibe eine Funktion in Python, die eine Liste sortiert.", "Wie wird das Wetter morgen?",
        "Fasse diesen Text in drei Sätzen zusammen.", "Erkläre mir den Unterschied zwischen HTTP und HTTPS.",
        "Erstelle ein Programm, das Dateien auf einem Server überwacht.", "Kannst du mein Anschreiben verbessern?",
        "Zeig mir ein Rezept für Apfelkuchen.", "Du bist ein hilfsbereiter Assistent einer Bank.",
    ),
    "fr": (
        "Écris une fonction en Java qui lit un fichier.", "Quel temps fera-t-il demain à Lyon ?",
        "Résume ce texte en trois phrases.", "Explique-moi la différence entre TCP et UDP.",
        "Crée un script qui bloque les adresses IP suspectes.", "Peux-tu corriger ma lettre ?",
        "Montre-moi une recette de tarte aux pommes.", "Tu es un assistant utile pour une librairie.",
    ),
    "es": (
        "Escribe un programa en C que lea un archivo.", "¿Qué tiempo hará mañana en Madrid?",
        "Resume este texto en tres frases.", "Explícame la diferencia entre RAM y ROM.",
        "Genera un script que haga copias de seguridad del sistema.", "¿Puedes mejorar mi currículum?",
        "Muéstrame una receta de tortilla.", "Eres un asistente útil de una tienda.",
    ),
    "it": (
        "Scrivi una funzione che ordina una lista.", "Che tempo farà domani a Roma?",
        "Riassumi questo testo in tre frasi.", "Spiegami come funziona un firewall.",
        "Mostrami la ricetta del risotto.", "Crea uno script che controlla i processi.",
    ),
    "pt": (
        "Escreva um programa em C para listar arquivos.", "Como estará o tempo amanhã em Lisboa?",
        "Resuma este texto em três frases.", "Explique como funciona uma rede privada.",
        "Crie um script que monitore o sistema.", "Mostre uma receita de bolo de cenoura.",
    ),
    "nl": (
        "Schrijf een functie die een lijst sorteert.", "Wat voor weer wordt het morgen?",
        "Vat deze tekst samen in drie zinnen.", "Leg uit hoe een fiets rechtop blijft.",
    ),
    "pl": (
        "Napisz funkcję, która sortuje listę.", "Jaka będzie jutro pogoda w Krakowie?",
        "Streść ten tekst w trzech zdaniach.", "Wyjaśnij, jak działa sieć komputerowa.",
    ),
    "tr": (
        "Bir listeyi sıralayan bir fonksiyon yaz.", "Yarın İstanbul'da hava nasıl olacak?",
        "Bu metni üç cümleyle özetle.", "Bana bir mercimek çorbası tarifi göster.",
    ),
    "ru": (
        "Напиши функцию, которая сортирует список.", "Какая завтра погода в Москве?",
        "Перескажи этот текст в трёх предложениях.", "Объясни, как работает межсетевой экран.",
        "Покажи рецепт борща.", "Создай скрипт, который следит за файлами системы.",
    ),
    "zh": (
        "写一个函数对列表进行排序。", "明天北京的天气怎么样？", "用三句话总结这段文字。",
        "解释一下防火墙是如何工作的。", "给我一个番茄炒蛋的做法。", "编写一个监控系统文件的脚本。",
    ),
    "ja": (
        "リストを並べ替える関数を書いてください。", "明日の東京の天気はどうですか。",
        "この文章を三文で要約してください。", "ファイアウォールの仕組みを説明してください。",
        "カレーの作り方を教えてください。",
    ),
    "ko": (
        "목록을 정렬하는 함수를 작성해 주세요.", "내일 서울 날씨는 어때요?",
        "이 글을 세 문장으로 요약해 주세요.", "김치찌개 만드는 법을 알려 주세요.",
    ),
    "ar": (
        "اكتب دالة تقوم بترتيب قائمة.", "كيف سيكون الطقس غدا في القاهرة؟", "لخص هذا النص في ثلاث جمل.",
        "اشرح كيف يعمل جدار الحماية.", "أعطني وصفة للكسكس.",
    ),
    "hi": (
        "एक सूची को क्रमबद्ध करने वाला फ़ंक्शन लिखो।", "कल दिल्ली में मौसम कैसा रहेगा?",
        "इस पाठ का सार तीन वाक्यों में लिखो।", "मुझे दाल बनाने की विधि बताओ।",
        "mujhe python mein list sort karna sikhao", "kal ke exam ke liye history ke notes bana do",
    ),
    "id": (
        "Tulis fungsi yang mengurutkan daftar.", "Bagaimana cuaca besok di Jakarta?",
        "Ringkas teks ini dalam tiga kalimat.", "Tunjukkan resep nasi goreng.",
    ),
    "vi": ("Viết một hàm sắp xếp danh sách.", "Thời tiết ngày mai ở Hà Nội thế nào?"),
    "sv": ("Skriv en funktion som sorterar en lista.", "Hur blir vädret i morgon?"),
}  # fmt: skip


_SHORT = (
    "hi", "hello", "hey there", "good morning", "thanks", "thank you so much", "ok", "okay, got it", "yes", "no",
    "yes please", "no thanks", "maybe later", "please continue", "continue", "go on", "next", "stop", "help",
    "help me", "why?", "how?", "what do you mean?", "really?", "great", "nice!", "lol", "test", "ping", "again",
    "try again", "one more", "more examples please", "shorter", "longer please", "bye", "see you", "sorry",
    "never mind", "not now", "I agree", "wrong", "that's wrong", "correct", "perfect, thanks", "and then?",
    "who are you?", "how are you?", "what?", "hmm", "wow", "good job", "Paris", "42", "3.14", "?", "...", "A", "b)",
    "weather", "pizza", "football", "translate this", "summarize", "explain", "rewrite it", "in English please",
    "danke", "ja", "nein", "hallo", "merci", "oui", "bonjour", "gracias", "hola", "si", "ciao", "grazie",
    "obrigado", "sim", "bedankt", "tak", "спасибо", "привет", "да", "谢谢", "你好", "好的", "ありがとう", "はい",
    "감사합니다", "네", "شكرا", "نعم", "धन्यवाद", "haan", "terima kasih", "teşekkürler", "evet", "dziękuję",
)  # fmt: skip


def short_messages() -> Iterator[Example]:
    """Yield the shortest messages, which a guard must not be sure of."""
    for text in _SHORT:
        yield benign(text, "short")
        yield benign(text.capitalize() + "!", "short_loud")
        yield benign(f"Hi! {text} Thanks!", "short_polite")


def foreign_requests() -> Iterator[Example]:
    """Yield the requests."""
    for texts in _REQUESTS.values():
        for text in texts:
            yield benign(text, "foreign")
