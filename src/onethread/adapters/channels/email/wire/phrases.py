"""The words mail programs and people put around a message, in many languages. Tables and their matchers."""

import re
from typing import Final, Literal

from onethread.kernel.text import without_invisible

FieldWord = Literal["from", "to", "date", "subject"]

# "wrote", as it stands at the end of `On …, … wrote:` or, in some languages, in the middle.
_WROTE: Final = (
    *("wrote", "writes", "schrieb", "geschrieben", "a écrit", "escribió", "escreveu", "ha scritto", "scritto"),
    *("schreef", "geschreven", "skrev", "kirjoitti", "napisał", "napisał(a)", "napisala", "napsal", "napsal(a)"),
    *("napísal", "írta", "a scris", "yazdı", "şunu yazdı", "έγραψε", "пишет", "написал", "написала", "писал"),
    *("написав", "написа", "пише", "כתב", "כתבה", "كتب", "نوشت", "نوشته است", "نوشته", "เขียน", "เขียนว่า"),
    *("書きました", "書いた", "のメッセージ", "のメール", "写道", "寫道", "님이 작성", "작성", "đã viết"),
    *("menulis", "menulis:"),
    *("пользователь", "от", "från", "de la part de"),
)
_WROTE_RE: Final = re.compile("|".join(re.escape(w) for w in sorted(_WROTE, key=len, reverse=True)), re.IGNORECASE)
_BEGINS: Final = re.compile(
    r"\W{0,6}(?:On|Am|Le|El|Em|A|Il|Op|Den|Dne|Dnia|W dniu|Pada|Vào|Ngày|În|Στις|Kl|Vom"
    r"|در|في|ในวันที่|เมื่อ|วันที่|\d)",
)
_ADDRESS: Final = re.compile(r"[^\s<>@]+@[^\s<>@]+\.[^\s<>@]+")
_WHEN: Final = re.compile(r"\d{1,2}[:.h時]\d{2}|\b\d{4}\b|\d{1,4}[./-]\d{1,2}[./-]\d{1,4}|\d年")
_LONGEST: Final = 400


def is_attribution(text: str) -> bool:
    """Tell whether a line announces a quotation: it ends in a colon and names a time and who wrote."""
    line = without_invisible(text).strip(" \t\u00a0*>-")
    if not 8 <= len(line) <= _LONGEST or line[-1] not in ":：" or "://" in line:
        return False
    if not any(c.isdecimal() for c in line):
        return False
    if _ADDRESS.search(line):
        return _WHEN.search(line) is not None
    return _BEGINS.match(line) is not None and _WROTE_RE.search(line) is not None


def may_begin_attribution(text: str) -> bool:
    """Tell whether an attribution that goes over several lines may begin with this one."""
    line = without_invisible(text).strip()
    return (
        8 <= len(line) <= 200
        and line[-1] not in ".!?:;。？！"
        and any(c.isdecimal() for c in line)
        and _BEGINS.match(line) is not None
    )


def _any(*words: str) -> str:
    return "|".join(re.escape(word) for word in sorted(words, key=len, reverse=True))


ORIGINAL: Final = re.compile(
    r"\s*[-_=*]{2,}\s*(?:"
    + _any(
        *("Original Message", "Original message", "Original Appointment", "Reply message", "Reply Message"),
        *("Ursprüngliche Nachricht", "Originalnachricht", "Original-Nachricht", "Message d'origine"),
        *("Message original", "Mensaje original", "Mensagem original", "Messaggio originale"),
        *("Oorspronkelijk bericht", "Originalmeddelande", "Ursprungligt meddelande", "Oprindelig meddelelse"),
        *("Opprinnelig melding", "Alkuperäinen viesti", "Wiadomość oryginalna", "Oryginalna wiadomość"),
        *("Původní zpráva", "Pôvodná správa", "Eredeti üzenet", "Mesaj original", "Orijinal Mesaj", "Özgün ileti"),
        *("Исходное сообщение", "Оригинальное сообщение", "Вихідне повідомлення", "Αρχικό μήνυμα"),
        *("הודעה מקורית", "الرسالة الأصلية", "رسالة أصلية", "پیام اصلی", "نامه اصلی", "ข้อความต้นฉบับ"),
        *("ข้อความเดิม", "元のメッセージ", "Original Mail", "原始邮件", "原始郵件", "邮件原件", "원본 메시지"),
        *("원본 메일",),
        *("Tin nhắn gốc", "Thư gốc", "Pesan Asli"),
    )
    + r")\s*[-_=*]{2,}",
    re.IGNORECASE,
)

FORWARDED: Final = re.compile(
    r"\s*[-_=*>]*\s*(?:"
    + _any(
        *("Forwarded message", "Forwarded Message", "Begin forwarded message", "Weitergeleitete Nachricht"),
        *("Anfang der weitergeleiteten Nachricht", "Weitergeleitet von", "Message transféré", "Message transmis"),
        *("Début du message réexpédié", "Mensaje reenviado", "Mensagem encaminhada", "Messaggio inoltrato"),
        *("Doorgestuurd bericht", "Vidarebefordrat meddelande", "Videresendt meddelelse", "Videresendt melding"),
        *("Välitetty viesti", "Przekazana wiadomość", "Přeposlaná zpráva", "Továbbított üzenet"),
        *("Mesaj redirecționat",),
        *("Yönlendirilen ileti", "İletilen mesaj", "Пересылаемое сообщение", "Переслане повідомлення"),
        *("Προωθημένο μήνυμα", "הודעה שהועברה", "رسالة معاد توجيهها", "الرسالة المعاد توجيهها", "پیام ارسال شده"),
        *("پیام هدایت شده", "ข้อความที่ส่งต่อ", "転送メッセージ", "転送されたメッセージ", "转发的邮件"),
        *("轉寄郵件", "전달된 메시지"),
        *("Tin nhắn được chuyển tiếp", "Pesan terusan"),
    )
    + r")\s*[-_=*:：]",
    re.IGNORECASE,
)

_FIELDS: Final[dict[FieldWord, tuple[str, ...]]] = {
    "from": (
        *("From", "Von", "De", "Da", "Van", "Från", "Fra", "Lähettäjä", "Od", "Feladó", "Expeditor", "Kimden"),
        *("Gönderen", "От", "От кого", "Від", "Από", "מאת", "من", "از", "فرستنده", "จาก", "差出人", "送信者"),
        *("发件人", "寄件者", "寄件人", "보낸 사람", "보낸사람", "Từ", "Dari", "Lähettänyt"),
    ),
    "to": (
        *("To", "An", "À", "A", "Para", "Aan", "Till", "Til", "Vastaanottaja", "Do", "Komu", "Címzett"),
        *("Către", "Kime"),
        *("Alıcı", "Кому", "Προς", "אל", "إلى", "به", "گیرنده", "ถึง", "宛先", "收件人", "收件者", "받는 사람"),
        *("받는사람",),
        *("Đến", "Kepada", "Cc", "CC", "Kopie", "Copie", "Kopia", "Копия", "สำเนา", "رونوشت", "抄送", "副本", "Bcc"),
        *("Reply-To", "Organization"),
    ),
    "date": (
        *("Sent", "Date", "Gesendet", "Datum", "Envoyé", "Date d'envoi", "Enviado", "Enviado el", "Fecha"),
        *("Enviada em",),
        *("Data", "Inviato", "Verzonden", "Skickat", "Sendt", "Dato", "Lähetetty", "Päivämäärä", "Wysłano"),
        *("Wysłane",),
        *("Odesláno", "Odoslané", "Dátum", "Küldve", "Trimis", "Gönderildi", "Tarih", "Отправлено", "Дата"),
        *("Надіслано", "Στάλθηκε", "Ημερομηνία", "נשלח", "תאריך", "تاريخ الإرسال", "التاريخ", "تاریخ", "ارسال شده"),
        *("فرستاده شده", "ส่งเมื่อ", "วันที่", "送信日時", "日時", "日付", "发送时间", "日期", "寄件日期"),
        *("보낸 날짜", "날짜"),
        *("Ngày", "Đã gửi", "Dikirim", "Tanggal"),
    ),
    "subject": (
        *("Subject", "Betreff", "Objet", "Asunto", "Assunto", "Oggetto", "Onderwerp", "Ämne", "Emne", "Aihe"),
        *("Temat",),
        *("Předmět", "Predmet", "Tárgy", "Subiect", "Konu", "Тема", "Θέμα", "נושא", "الموضوع", "موضوع", "เรื่อง"),
        *("หัวเรื่อง", "หัวข้อ", "件名", "主题", "主旨", "제목", "Chủ đề", "Subjek", "Perihal"),
    ),
}
_WORD_TO_FIELD: Final[dict[str, FieldWord]] = {
    word.casefold(): field for field, words in _FIELDS.items() for word in words
}
_FIELD_LINE: Final = re.compile(r"[\s*>|]{0,8}([^\s:：*][^:：*]{0,24}?)[\s*]{0,3}[:：]\*?(?!//)")


def field_of(text: str) -> FieldWord | None:
    """Return which header field a line names in any language (`Von:`, `จาก:`, `*От:*`), or None."""
    match = _FIELD_LINE.match(without_invisible(text))
    return _WORD_TO_FIELD.get(match[1].strip().casefold()) if match else None


SENT_FROM: Final = re.compile(
    r"[\s\W]{0,4}(?:"
    r"sent (?:from|via|with|using) |get outlook for |via mobile\b|typed on my|from my (?:iphone|ipad|android|mobile)"
    r"|von meinem .{1,40} gesendet|gesendet (?:von|mit|aus)\b|envoy[ée] (?:de|depuis|à partir)"
    r"|enviado (?:desde|do|a partir|con)\b|inviato (?:da|dal)\b|verzonden (?:vanaf|met|van)\b|skickat från"
    r"|skickades från"
    r"|sendt fra|lähetetty|wysłan[eo] z|odesláno z|отправлено (?:с|из)\b|надіслано з|gönderildi\b.{0,30}"
    r"|ส่งจาก|发自|從我的|从我的|.{1,30}から送信|나의 .{1,20}에서 보냄|.{1,20}에서 보냄|gửi từ|dikirim dari"
    r"|ارسال شده از|فرستاده شده از|ارسال از|أرسل من|تم الإرسال من|נשלח מ"
    r")",
    re.IGNORECASE,
)

_END: Final = r"[\s,.!،。、！~-]*"
REGARDS: Final = re.compile(
    r"\W{0,3}(?:(?:with )?(?:best|kind|warm|kindest|warmest|many)(?: (?:regards|wishes))?|regards|br"
    r"|best regards from .{1,30}"
    r"|sincerely|yours (?:truly|sincerely|faithfully)|respectfully|cheers|all the best|best wishes"
    r"|mit freundlichen grüßen|mit freundlichen gruessen|mfg|viele grüße|(?:liebe|beste|schöne) grüße"
    r"|cordialement|bien cordialement|bien à vous|sincères salutations|saludos(?: cordiales)?|un saludo|atentamente"
    r"|atenciosamente|cumprimentos|com os melhores cumprimentos|abraços?|cordiali saluti|distinti saluti|un saluto"
    r"|met vriendelijke groet(?:en)?|mvh|med vänliga? hälsningar?|(?:med )?venlig hilsen|ystävällisin terveisin"
    r"|pozdrawiam|z poważaniem|s pozdravem|üdvözlettel|cu stimă|saygılarımla|iyi çalışmalar|με εκτίμηση"
    r"|с уважением|з повагою|בברכה|مع خالص التحية|مع التحية|تحياتي|با احترام(?: فراوان)?|ارادتمند(?: شما)?"
    r"|با سپاس و احترام"
    r"|ขอแสดงความนับถือ|ด้วยความเคารพ(?:อย่างสูง)?|ด้วยความนับถือ|ขอบพระคุณ(?:ครับ|ค่ะ)?|敬具|草々|此致|敬礼"
    r"|顺祝商祺|감사합니다|드림"
    rf"|trân trọng|hormat (?:kami|saya)|salam){_END}",
    re.IGNORECASE,
)
THANKS: Final = re.compile(
    r"\W{0,3}(?:(?:many )?thanks(?: (?:a lot|again|in advance|so much|and (?:best |kind )?regards))?"
    r"|thank you(?: (?:very much|so much|again))?"
    r"|thx|danke(?:schön)?|vielen dank|merci(?: beaucoup)?|(?:muchas )?gracias|(?:muito )?obrigad[oa]"
    r"|grazie(?: mille)?"
    r"|dank je(?: wel)?|bedankt|tack(?: så mycket)?|(?:mange )?tak|kiitos|dziękuję|děkuji|teşekkürler|спасибо|дякую"
    r"|با تشکر(?: فراوان)?|با سپاس|ممنون(?:م)?|متشکرم|شكرا|ขอบคุณ(?:มาก)?(?:ครับ|ค่ะ|นะคะ|นะครับ)?"
    rf"|(?:以上、?)?(?:どうぞ)?(?:よろしく|宜しく)お(?:願|ねが)い(?:いた|致)?します|ありがとうございます|谢谢|謝謝"
    rf"|cảm ơn|terima kasih){_END}",
    re.IGNORECASE,
)
