"""One form for each identifier, whatever hands and providers write."""

import phonenumbers
import pytest
from hypothesis import given
from hypothesis import strategies as st

from onethread.kernel.identifier import Identifier, IdentifierKind
from onethread.kernel.normal import MOST_CHARACTERS, NotAnIdentifier, normalise, variants

KINDS: list[IdentifierKind] = ["email", "phone", "line", "visitor", "device", "card", "external", "custom"]


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("ana@example.com", "ana@example.com"),
        ("  Ana@Example.COM\t", "ana@example.com"),
        ("<ana@example.com>", "ana@example.com"),
        ("Ana García <ana@example.com>", "ana@example.com"),
        ("a.n.a+shop@example.com", "a.n.a+shop@example.com"),
        ("ａｎａ＠ｅｘａｍｐｌｅ．ｃｏｍ", "ana@example.com"),
        ("\u202aana@example.com\u202c", "ana@example.com"),
        ("\ufeffana@example.com\u200b", "ana@example.com"),
        ("ana@example.com.", "ana@example.com"),
        ("ana@Bücher.example", "ana@xn--bcher-kva.example"),
        ("ana@XN--BCHER-KVA.example", "ana@xn--bcher-kva.example"),
        ("somchai@ไทย.ไทย", "somchai@xn--o3cw4h.xn--o3cw4h"),
        ("maryam@مثال.ایران", "maryam@xn--mgbh0fb.xn--mgba3a4f16a"),
        ("hanako@例え.テスト", "hanako@xn--r8jz45g.xn--zckzah"),
        ("花子@example.jp", "花子@example.jp"),
        ("hanako..s.@docomo.example", "hanako..s.@docomo.example"),
        ('"hanako..s"@docomo.example', "hanako..s@docomo.example"),
        ("o'neil@example.ie", "o'neil@example.ie"),
        ("ana@mail--01.example.com", "ana@mail--01.example.com"),
    ],
)
def test_an_address_has_one_form(written: str, value: str) -> None:
    assert normalise("email", written) == Identifier("email", value)


@pytest.mark.parametrize(
    ("written", "reason"),
    [
        ("", "empty"),
        ("   ", "empty"),
        ("<>", "empty"),
        ("ana", "not_an_address"),
        ("ana@", "not_an_address"),
        ("@example.com", "not_an_address"),
        ("ana@localhost", "not_an_address"),
        ("ana@10.0.0.1", "not_an_address"),
        ("ana@[10.0.0.1]", "not_an_address"),
        ("ana@-example.com", "not_an_address"),
        ("ana@exa_mple.com", "not_an_address"),
        ("ana@example..com", "not_an_address"),
        ("ana@xn--a.example", "not_an_address"),
        ("ana bruno@example.com", "not_an_address"),
        ("ana@example.com, bruno@example.com", "not_an_address"),
        ("ana\x00@example.com", "unsafe"),
        ("ana\ud800@example.com", "unsafe"),
        ("a" * 65 + "@example.com", "too_long"),
        ("a@" + "b" * 60 + ".example" * 30, "too_long"),
        ("a" * 5000, "too_long"),
        ("Test@Test.com", "placeholder"),
        ("null", "placeholder"),
        ("00-00", "placeholder"),
        ("[object Object]", "placeholder"),
    ],
)
def test_what_is_no_address_is_refused_with_its_reason(written: str, reason: str) -> None:
    assert _reason("email", written) == reason


@pytest.mark.parametrize(
    ("written", "country", "value"),
    [
        ("+66812345678", None, "+66812345678"),
        ("081-234-5678", "TH", "+66812345678"),
        ("081 234 5678", "th", "+66812345678"),
        ("๐๘๑ ๒๓๔ ๕๖๗๘", "TH", "+66812345678"),
        ("+๖๖๘๑๒๓๔๕๖๗๘", None, "+66812345678"),
        ("0066 81 234 5678", "TH", "+66812345678"),
        ("0066 81 234 5678", None, "+66812345678"),
        ("0066812345678", "JP", "+66812345678"),
        ("001 66 81 234 5678", "TH", "+66812345678"),
        ("001 650 253 0000", None, "+16502530000"),
        ("+66 (0)81 234 5678", None, "+66812345678"),
        ("(081) 234.5678", "TH", "+66812345678"),
        ("tel:+66-81-234-5678", None, "+66812345678"),
        ("\u202a+66 81 234 5678\u202c", None, "+66812345678"),
        ("+66\u00a081\u2009234\u20115678", None, "+66812345678"),
        ("۰۹۱۲ ۳۴۵ ۶۷۸۹", "IR", "+989123456789"),
        ("٠٩١٢٣٤٥٦٧٨٩", "IR", "+989123456789"),
        ("０９０ー１２３４ー５６７８", "JP", "+819012345678"),
        ("０９０－１２３４－５６７８", "JP", "+819012345678"),
        ("+39 06 1234 5678", None, "+390612345678"),
        ("06 1234 5678", "IT", "+390612345678"),
        ("+55 11 8765-4321", None, "+5511987654321"),
        ("+55 11 98765-4321", None, "+5511987654321"),
        ("+55 11 3876-5432", None, "+551138765432"),
        ("+521 55 1234 5678", None, "+525512345678"),
        ("+5215512345678", None, "+525512345678"),
        ("+551187654321", None, "+5511987654321"),
        ("+52 55 1234 5678", None, "+525512345678"),
    ],
)
def test_a_number_has_one_form(written: str, country: str | None, value: str) -> None:
    assert normalise("phone", written, country) == Identifier("phone", value)


@pytest.mark.parametrize(
    ("written", "country", "reason"),
    [
        ("", "TH", "empty"),
        ("\u200e ", "TH", "empty"),
        ("081 234 5678", None, "no_country"),
        ("081 234 5678", "XX", "no_country"),
        ("0000", "TH", "placeholder"),
        ("+0", None, "placeholder"),
        ("12", "TH", "not_a_number"),
        ("+999123456789012", None, "not_a_number"),
        ("+66 81 234 5678 99 99 99", None, "not_a_number"),
        ("call me", "TH", "not_a_number"),
        ("1-800-FLOWERS", "US", "not_a_number"),
        ("081 234 5678 or 082 345 6789", "TH", "not_a_number"),
        ("02 123 4567 ext 12", "TH", "extension"),
        ("02 123 4567 ต่อ 12", "TH", "extension"),
        ("+66 2 123 4567 x12", None, "extension"),
        ("+6621234567,12#", None, "extension"),
        ("tel:+6621234567;ext=12", None, "extension"),
        ("+6681\x00234", None, "unsafe"),
        ("1" * 5000, "TH", "too_long"),
    ],
)
def test_what_is_no_number_is_refused_with_its_reason(written: str, country: str | None, reason: str) -> None:
    assert _reason("phone", written, country) == reason


@pytest.mark.parametrize("region", sorted(phonenumbers.SUPPORTED_REGIONS))
def test_example_numbers_of_every_country_round_trip(region: str) -> None:
    for kind in (phonenumbers.PhoneNumberType.MOBILE, phonenumbers.PhoneNumberType.FIXED_LINE):
        number = phonenumbers.example_number_for_type(region, kind)
        if number is None:
            continue
        full = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
        for style in (
            phonenumbers.PhoneNumberFormat.INTERNATIONAL,
            phonenumbers.PhoneNumberFormat.NATIONAL,
            phonenumbers.PhoneNumberFormat.RFC3966,
        ):
            written = phonenumbers.format_number(number, style)
            assert normalise("phone", written, region).value == full
        assert normalise("phone", full).value == full
        assert normalise("phone", "00" + full[1:], region).value == full


@pytest.mark.parametrize(
    ("value", "others"),
    [
        ("+5511987654321", ["+551187654321"]),
        ("+551138765432", []),
        ("+525512345678", ["+5215512345678"]),
        ("+5491123456789", ["+541123456789"]),
        ("+541123456789", ["+5491123456789"]),
        ("+66812345678", []),
    ],
)
def test_a_number_is_looked_up_by_every_writing_of_its_country(value: str, others: list[str]) -> None:
    number = Identifier("phone", value)
    assert variants(number) == (number, *(Identifier("phone", other) for other in others))


@pytest.mark.parametrize(
    ("written", "value"),
    [("  U4af4980629 ", "U4af4980629"), ("Cafe\u0301", "Café"), ("aB-9", "aB-9"), ("０", "０")],
)
def test_ids_of_other_systems_keep_their_case(written: str, value: str) -> None:
    assert normalise("external", written, scope="crm") == Identifier("external", value, "crm")


@pytest.mark.parametrize(
    "written",
    [
        *("0", "000-000", "-", "-1", "NULL", "None", "nil", "NaN", "undefined", "true", "False", "anonymous"),
        *("guest", "distinct_id", "id", "not_authenticated", "email", "[object Object]", "test", "unknown"),
    ],
)
@pytest.mark.parametrize("kind", ["external", "visitor", "card", "email"])
def test_what_stands_for_nobody_is_refused(kind: IdentifierKind, written: str) -> None:
    assert _reason(kind, written) == "placeholder"


def test_ids_of_other_systems_have_limits() -> None:
    assert normalise("external", "x" * MOST_CHARACTERS).value == "x" * MOST_CHARACTERS
    assert _reason("external", "x" * (MOST_CHARACTERS + 1)) == "too_long"
    assert _reason("external", "a\x00b") == "unsafe"
    assert _reason("visitor", "\ud800") == "unsafe"
    assert _reason("visitor", " \u200b ") == "empty"


ANY_WRITING = st.one_of(
    st.text(),
    st.text(alphabet="0123456789+-() .๐๘۰۹０９x#ext\u202a\x00"),
    st.text(alphabet='aAİßﬁ.@<>"xn-éไทยıǅ\u200d\u0301\ud800'),
    st.emails(),
    st.from_regex(r"\+?[0-9]{1,16}", fullmatch=True),
)


@given(st.sampled_from(KINDS), ANY_WRITING, st.sampled_from([None, "TH", "IR", "JP", "BR", "MX", "US", "", "?"]))
def test_any_writing_has_one_lasting_form_or_a_reason(kind: IdentifierKind, written: str, country: str | None) -> None:
    try:
        once = normalise(kind, written, country)
    except NotAnIdentifier as refusal:
        assert refusal.detail and refusal.fields == {"reason": refusal.reason}
        return
    assert normalise(kind, once.value, country) == once
    once.value.encode()
    assert "\x00" not in once.value and len(once.value) <= MOST_CHARACTERS
    assert once in variants(once)


def _reason(kind: IdentifierKind, written: str, country: str | None = None) -> str:
    with pytest.raises(NotAnIdentifier) as refusal:
        normalise(kind, written, country)
    return refusal.value.reason
