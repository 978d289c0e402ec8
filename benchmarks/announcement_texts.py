"""What is said in the calls of bench_announcement.py: prompts, what resembles them, lines and words of other talk."""

# ruff: noqa: RUF001
from __future__ import annotations

from typing import Final

# Voice and language. espeak's voices are "name speed pitch" where a prompt is spoken.
REFERENCE_VOICES: Final = {
    "dev": [("en-us+f3 150 55", "en"), ("ru+f2 150 55", "ru"), ("flite slt", "en")],
    "test": [("en-gb+f4 155 50", "en"), ("de+f5 150 50", "de"), ("flite rms", "en")],
}
SPEECH_VOICES: Final = {
    "dev": [
        *((f"{name}+{kind}", name[:2]) for name in ("en-gb", "de", "ru", "es") for kind in ("m1", "m3", "f1", "croak")),
        ("flite kal", "en"),
    ],
    "test": [
        *((f"{n}+{k}", n[:2]) for n in ("en-us", "en-gb-x-rp", "en-029", "de") for k in ("m2", "m4", "m7", "f2", "f3")),
        *((f"{n}+{k}", n[:2]) for n in ("fr-fr", "es-419", "ru", "it", "pl") for k in ("m5", "m6", "f5", "whisper")),
        ("flite awb", "en"),
        ("flite kal16", "en"),
    ],
}
PROMPTS: Final = {
    "en": [
        "This call may be recorded for quality and training purposes.",
        "Please be aware that your call is being recorded and monitored. If you do not wish to be recorded, please tell"
        " the agent now.",
        "For your security, recording is paused while you enter your card details.",
        "Recording has now resumed. Thank you for your patience.",
    ],
    "de": [
        "Dieses Gespräch kann zu Schulungszwecken aufgezeichnet werden.",
        "Bitte beachten Sie, dass Ihr Gespräch aufgezeichnet wird. Wenn Sie das nicht wünschen, sagen Sie es bitte"
        " gleich zu Beginn dem Mitarbeiter.",
        "Zu Ihrer Sicherheit ist die Aufzeichnung unterbrochen, während Sie Ihre Kartendaten eingeben.",
        "Die Aufzeichnung läuft jetzt wieder. Vielen Dank für Ihre Geduld.",
    ],
    "ru": [
        "Ваш разговор может быть записан в целях контроля качества обслуживания.",
        "Обращаем ваше внимание, что все разговоры записываются. Если вы не согласны на запись, сообщите об этом"
        " оператору.",
        "Для вашей безопасности запись приостановлена на время ввода данных карты.",
        "Запись разговора возобновлена. Спасибо за ожидание.",
    ],
}
# By the same voice: must not count as the prompt in full.
NEAR: Final = {
    "en": [
        [
            "This call may not be recorded for quality and training purposes.",
            "This call may be recorded for marketing and sales purposes.",
            "Your call may be transferred for quality and training purposes.",
        ],
        [
            "Please be aware that your call is being transferred and answered. If you do not wish to be disturbed,"
            " please tell the agent now.",
            "Please be aware that your call is being recorded and monitored.",
        ],
        [
            "For your security, recording is required while you enter your office building.",
            "For your comfort, music is played while you wait for your card details.",
        ],
        [
            "Service has now resumed. Thank you for your patience.",
            "Recording has now stopped. Thank you for your business.",
            "Recording has now stopped. Thank you for your patience.",
        ],
    ],
    "de": [
        [
            "Dieses Gespräch kann nicht zu Schulungszwecken aufgezeichnet werden.",
            "Dieses Gespräch kann zu Werbezwecken aufgezeichnet werden.",
        ],
        ["Bitte beachten Sie, dass Ihr Gespräch weitergeleitet wird. Wenn Sie nicht wollen, legen Sie bitte auf."],
        ["Zu Ihrer Sicherheit ist die Aufzeichnung eingeschaltet, während Sie Ihre Kartendaten eingeben."],
        [
            "Die Aufzeichnung läuft jetzt nicht. Vielen Dank für Ihre Geduld.",
            "Die Leitung läuft jetzt wieder. Vielen Dank für Ihren Anruf.",
        ],
    ],
    "ru": [
        [
            "Ваш разговор не может быть записан в целях контроля качества обслуживания.",
            "Ваш звонок может быть переведён в целях улучшения качества обслуживания.",
        ],
        [
            "Обращаем ваше внимание, что все операторы заняты. Если вы не согласны ждать, сообщите об этом оператору.",
        ],
        ["Для вашей безопасности запись ведётся на время ввода данных карты."],
        ["Запись на приём возобновлена. Спасибо за звонок."],
    ],
}
# The same said with other words, by the same voice.
SYNONYMS: Final = {
    "en": [
        "We may record this call to train our staff and improve our service.",
        "Note that we record and monitor your call. Tell the agent at once if you do not want that.",
        "To keep you safe we have stopped recording until your card number has been typed in.",
        "We are recording again now. We thank you for having waited.",
    ],
    "de": [
        "Wir zeichnen dieses Gespräch eventuell auf, um unsere Mitarbeiter zu schulen.",
        "Wir weisen Sie darauf hin, dass wir Gespräche aufzeichnen. Teilen Sie uns mit, wenn Sie nicht zustimmen.",
        "Solange Sie Ihre Karte eingeben, zeichnen wir aus Gründen der Sicherheit nicht auf.",
        "Wir zeichnen nun weiter auf. Danke, dass Sie gewartet haben.",
    ],
    "ru": [
        "Мы можем записать этот разговор, чтобы улучшить нашу работу.",
        "Все звонки записываются. Скажите оператору сразу, если вы против записи разговора.",
        "Пока вы вводите номер карты, мы не записываем разговор ради безопасности.",
        "Мы снова записываем разговор. Благодарим, что подождали.",
    ],
}
OTHER_LINES: Final = {
    "en": [
        "Thank you for calling. Your call is important to us.",
        "Please hold while we connect your call.",
        "For sales, press one. For support, press two.",
        "All of our agents are currently busy. Please stay on the line.",
        "Please enter your account number followed by the hash key.",
        "You may be asked to complete a short survey after this call.",
        "For quality and training purposes, please state your name.",
        "This call is now being transferred to an agent.",
        "Recording has stopped.",
        "Your card details have been received.",
        "Please leave a message after the tone.",
    ],
    "de": [
        "Vielen Dank für Ihren Anruf. Ihr Anruf ist uns wichtig.",
        "Bitte bleiben Sie in der Leitung.",
        "Für den Vertrieb drücken Sie bitte die eins.",
        "Alle Mitarbeiter sind zurzeit im Gespräch.",
        "Bitte nennen Sie uns Ihre Kundennummer.",
        "Dieses Gespräch wird nun weitergeleitet.",
        "Die Aufzeichnung ist beendet.",
        "Ihre Kartendaten sind eingegangen.",
    ],
    "ru": [
        "Спасибо за звонок. Ваш звонок очень важен для нас.",
        "Пожалуйста, оставайтесь на линии.",
        "Все операторы заняты. Время ожидания около пяти минут.",
        "Для связи с отделом продаж нажмите один.",
        "Ваш разговор очень важен для нас.",
        "Для вашей безопасности назовите кодовое слово.",
        "Запись на приём открыта с девяти до шести.",
    ],
}
WORDS: Final = {
    language: text.split()
    for language, text in {
        "en": "account order delivery invoice please check number address tomorrow morning refund payment the a our"
        " your I we they would could should have need send receive call back later manager problem solution router"
        " internet contract price discount monday friday july twenty seven hundred thousand confirm email street london"
        " branch office policy claim insurance doctor appointment ticket flight booking yes no maybe of to and but"
        " because however really quite very exactly understand sorry wait moment looking system slow today screen",
        "de": "konto rechnung lieferung bitte prüfen nummer adresse morgen früh zahlung der die das unser ihr ich wir"
        " sie würde könnte haben brauchen senden anrufen später problem lösung vertrag preis rabatt montag freitag"
        " bestätigen straße berlin büro versicherung termin ja nein vielleicht und aber weil wirklich sehr genau"
        " verstehe entschuldigung moment",
        "fr": "compte facture livraison vérifier numéro adresse demain matin paiement le la notre votre je nous ils"
        " avoir besoin envoyer appeler plus tard problème solution contrat prix remise lundi vendredi confirmer rue"
        " paris bureau assurance oui non peut-être et mais parce que vraiment très exactement comprends désolé moment",
        "es": "cuenta factura entrega por favor comprobar número dirección mañana pago el la nuestro su yo nosotros"
        " ellos necesitar enviar llamar más tarde problema solución contrato precio descuento lunes viernes confirmar"
        " calle madrid oficina seguro cita sí no quizás y pero porque realmente muy exactamente entiendo perdón",
        "it": "conto fattura consegna per favore controllare numero indirizzo domani mattina pagamento il la nostro suo"
        " io noi loro bisogno inviare chiamare più tardi problema soluzione contratto prezzo sconto lunedì venerdì"
        " confermare via roma ufficio assicurazione appuntamento sì no forse e ma perché davvero molto esattamente",
        "pl": "konto faktura dostawa proszę sprawdzić numer adres jutro rano płatność nasz wasz ja my oni potrzebować"
        " wysłać zadzwonić później problem rozwiązanie umowa cena rabat poniedziałek piątek potwierdzić ulica warszawa"
        " biuro ubezpieczenie wizyta tak nie może i ale ponieważ naprawdę bardzo dokładnie rozumiem przepraszam",
        "ru": "счёт договор доставка пожалуйста проверьте номер адрес завтра утром оплата наш ваш я мы они нужно"
        " отправить позвонить позже проблема решение цена скидка понедельник пятница подтвердите улица москва офис"
        " страховка запись да нет возможно и но потому что действительно очень точно понимаю извините минутку заявка",
    }.items()
}
