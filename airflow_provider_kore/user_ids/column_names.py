"""Tell the header of a column from a user id, where a list should have no header."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import chain, islice
from typing import TypeVar

from airflow_provider_kore.user_ids.columns import ListError

_NAMES = """
id ids uid uids uuid guid user users userid userids useruid username userkey koreid koreuserid koreaiid externalid
externaluserid channelid channeluserid channeluid channeluids channel identity identifier ident login loginid
loginname account accountid accountname customer customerid customernumber customerno client clientid contact
contactid person personid people member memberid subject subjectid subscriber subscriberid lead leadid employee
employeeid psid msisdn name names fullname firstname lastname list value values key record recordid crmid email emails
emailid emailaddress emailaddresses mail mails mailaddress useremail primaryemail workemail emailwork contactemail
customeremail phone phones phoneid phoneno phonenumber phonenumbers telephone telephonenumber tel mobile mobileno
mobilenumber mobilephone cell cellphone number whatsapp whatsappid whatsappnumber benutzer benutzerid benutzername
benutzerkennung kennung kunde kunden kundenid kundennr kundennummer nutzer nutzerid nutzername nutzerkennung
emailadresse emailadressen mailadresse adresse telefon telefonnr telefonnummer handy handynummer handynr mobilnummer
mobiltelefon rufnummer nummer vorname nachname personalnummer teilnehmer courriel courriels adressemail adressemails
adresseemail adresseelectronique identifiant identifiants utilisateur utilisateurs nomutilisateur nomdutilisateur
idutilisateur idclient téléphone numérodetéléphone numéro nom prénom usuario usuarios idusuario nombreusuario
nombredeusuario correo correos correoelectrónico correoelectronico direccióndecorreo cliente clientes idcliente
teléfono telefono móvil movil número numero nombre identificador usuário usuários idusuário nomedeusuário
endereçodeemail telefone celular nome identificação utente utenti idutente nomeutente indirizzoemail posta
postaelettronica cellulare identificativo gebruiker gebruikers gebruikersid gebruikersnaam emailadres mailadres klant
klantid klantnummer telefoonnummer telefoon mobielnummer naam användare användarid användarnamn epost epostadress mejl
kund kundnummer bruker brukerid brukernavn epostadresse bruger brugerid brugernavn käyttäjä käyttäjätunnus sähköposti
sähköpostiosoite puhelinnumero użytkownik identyfikator adresemail klient numertelefonu uživatel telefonníčíslo
felhasználó felhasználónév kullanıcı kullanıcıid kullanıcıadı eposta epostaadresi telefonnumarası müşteri пользователь
пользователи логин почта электроннаяпочта адресэлектроннойпочты телефон номертелефона клиент имя メール メールアドレス
ユーザー ユーザid ユーザーid ユーザー名 利用者id 会員id 氏名 名前 電話番号 顧客id 邮箱 电子邮件 电子邮箱 邮件地址 用户
用户id 用户名 用户编号 手机 手机号 手机号码 电话 姓名 客户id 電子郵件 電郵 使用者 使用者id 用戶 用戶id 手機號碼 이메일
이메일주소 사용자 사용자id 사용자이름 아이디 전화번호 이름 useridentifier subjectemail personemail mailid to recipient
recipients erase delete deletions anfragende betroffene betroffeneperson
"""
"""Usual names of columns of user ids, without case, spaces and punctuation."""

COLUMN_NAMES = frozenset(_NAMES.split())

Value = TypeVar("Value")

_WORD = re.compile(r"[^\W\d_]+")
_INNER_CAPITAL = re.compile(r"(?<=[a-z])(?=[A-Z])")
_BETWEEN_WORDS = re.compile(r"[\W_]+")
_PLAINLY_AN_ID = re.compile(r"[^@\s]+@[^@\s]+|\+?\d{5,}|u-.*\d.*")


def is_header(first: str, second: str | None) -> bool:
    """
    Whether the first line of a list is the name of a column.

    It is a usual name, or several words with a usual name among them above what is plainly an id, as in
    ``Contact e-mail`` above an address. Any one word can be an id.

    :param second: the line below, if there is one.
    """
    if _BETWEEN_WORDS.sub("", first).casefold() in COLUMN_NAMES:
        return True
    if second is None or "@" in first or not _PLAINLY_AN_ID.fullmatch(second.strip()):
        return False
    words = [word.casefold() for word in _WORD.findall(_INNER_CAPITAL.sub(" ", first))]
    return len(words) > 1 and not COLUMN_NAMES.isdisjoint(words)


def refuse_header(placed: Iterable[tuple[str, Value]], remedy: str) -> Iterator[tuple[str, Value]]:
    """
    Yield a list of user ids, each with its place, unless the first is the name of a column.

    :param remedy: what to do then.
    :raises ListError: if it is.
    """
    values = iter(placed)
    first = list(islice(values, 2))
    texts = [value if isinstance(value, str) else None for _, value in first]
    if texts and texts[0] is not None and is_header(texts[0], texts[1] if len(texts) > 1 else None):
        raise ListError(f"{first[0][0]} is the name of a column and no user id", remedy)
    yield from chain(first, values)
