"""Every sentence of reminders and of owners' calendars, per language. Pure; a test sees that none lacks one.

A text names its fields; ``say`` fills them in, and the language is chosen when it is written (`Phrase.written`), so
that whoever says something need not know who reads it. What people wrote themselves stays as they wrote it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Union

from billing.receipt_view import format_day, format_local
from billing.words import known_language

#: A day; a moment, shown on the clock of its own zone; another phrase; or what stands as it is.
Field = Union[str, int, date, datetime, "Phrase"]


@dataclass(frozen=True, slots=True)
class Phrase:
    """Something to be said. ``translations``: its text by language, with the names of ``fields`` in braces."""

    translations: Mapping[str, str]
    fields: Mapping[str, Field] = field(default_factory=dict)

    def written(self, language: str) -> str:
        """As it is said in ``language``; in English where that is not known."""
        known = known_language(language)
        return self.translations[known].format_map({name: _shown(one, known) for name, one in self.fields.items()})


def _shown(one: Field, language: str) -> str:
    match one:
        case Phrase():
            return one.written(language)
        case datetime():
            return format_local(one, language)
        case date():
            return format_day(one, language)
        case _:
            return str(one)


def say(key: str, /, **fields: Field) -> Phrase:
    """The phrase of that key. Raises ``KeyError`` for a key that is not in the table."""
    return Phrase(TEXTS[key], fields)


def named(value: str) -> Phrase:
    """The name of an occasion, of an incident's kind or an alarm's, by its value. Raises ``KeyError``."""
    return Phrase(NAMES[value])


TEXTS: Mapping[str, Mapping[str, str]] = {
    # inspections
    "inspection_due": {
        "en": "Terminal {serial}: the inspection ({occasion}) is due now",
        "nb": "Terminal {serial}: kontrollen ({occasion}) må gjøres nå",
    },
    "inspection_overdue": {
        "en": "Terminal {serial}: the inspection ({occasion}) has been due since {day}",
        "nb": "Terminal {serial}: kontrollen ({occasion}) skulle vært gjort senest {day}",
    },
    "inspection_what": {
        "en": "Look at terminal {serial}: damage to the housing, foreign stickers, unusual cables; power it on and see "
        "that the provider's logo shows. Take photos, and record the inspection with your name.",
        "nb": "Se over terminal {serial}: skader på huset, fremmede klistremerker, uvanlige kabler. Slå den på, og se "
        "at leverandørens logo vises. Ta bilder, og registrer kontrollen med navnet ditt.",
    },
    "in_doubt": {
        "en": "If anything is strange, do not use the terminal: in doubt, don't use.",
        "nb": "Er det noe rart, skal terminalen ikke brukes. Er du i tvil, så ikke bruk den.",
    },
    # batteries
    "battery_due": {
        "en": "Terminal {serial}: charge its battery by {day}",
        "nb": "Terminal {serial}: lad batteriet senest {day}",
    },
    "battery_missed": {
        "en": "Terminal {serial}: its battery was due on {day}; tamper mode threatens",
        "nb": "Terminal {serial}: batteriet skulle vært ladet senest {day}; terminalen kan låse seg",
    },
    "battery_what": {
        "en": "Terminal {serial} is in storage; its battery was last full on {since}. Charge it every {months} months, "
        "and record who charged it and when.",
        "nb": "Terminal {serial} er på lager; batteriet var sist fulladet {since}. Lad det hver {months}. måned, og "
        "registrer hvem som ladet det, og når.",
    },
    "battery_tamper": {
        "en": "A battery that runs empty puts the terminal into tamper mode: it locks itself, cannot be used any more, "
        "and has to be returned for repair. Charge it today; if it shows that it is tampered with, report it and "
        "return it.",
        "nb": "Et batteri som går tomt, setter terminalen i manipuleringsmodus (tamper mode): den låser seg, kan ikke "
        "brukes mer og må sendes inn til reparasjon. Lad det i dag. Viser terminalen at den er manipulert, må du melde "
        "fra om det og sende den inn.",
    },
    # incidents and their notices
    "notice_due": {
        "en": "Incident {number}, terminal {serial}: the notice is due by {until}",
        "nb": "Hendelse {number}, terminal {serial}: varselet må sendes innen {until}",
    },
    "notice_overdue": {
        "en": "Incident {number}, terminal {serial}: the notice is overdue since {until}",
        "nb": "Hendelse {number}, terminal {serial}: varselet skulle vært sendt innen {until}",
    },
    "incident_what": {
        "en": "Terminal {serial}: {kind}, reported by {reported_by}.\nIt takes no cards until the incident is closed.",
        "nb": "Terminal {serial}: {kind}, meldt av {reported_by}.\nDen tar ikke kort før hendelsen er avsluttet.",
    },
    "notice_until": {
        "en": "The notice to the platform is due by {until}.",
        "nb": "Varselet til plattformen må sendes innen {until}.",
    },
    "notice_since": {
        "en": "The notice to the platform is overdue since {until}.",
        "nb": "Varselet til plattformen skulle vært sendt innen {until}.",
    },
    "notice_what": {
        "en": "{deadline} It must hold the full description, the actions taken and planned, how information and "
        "terminals are secured, and contacts who can be reached.",
        "nb": "{deadline} Det må inneholde en full beskrivelse, hva som er gjort og skal gjøres, hvordan opplysninger "
        "og terminaler er sikret, og kontaktpersoner som kan nås.",
    },
    # visits
    "visit_announced": {
        "en": "A visit to terminals of {owner} is announced: verify it",
        "nb": "Det er meldt et besøk til terminalene til {owner}: kontroller det",
    },
    "visit_announced_what": {
        "en": "{company} announces a visit on {day} to: {serials}.\n{purpose}",
        "nb": "{company} melder et besøk den {day} til: {serials}.\n{purpose}",
    },
    "visit_verified": {
        "en": "A visit by {company} on {day} is verified",
        "nb": "Besøket fra {company} den {day} er bekreftet",
    },
    "visit_verified_what": {
        "en": "{visitor} of {company} comes for: {purpose}\nAsk at the door for the document that ends in {document} "
        "and for the code, and check the code before you let anybody touch a terminal.",
        "nb": "{visitor} fra {company} kommer for: {purpose}\nBe ved døren om legitimasjonen som slutter på "
        "{document}, og om koden, og kontroller koden før noen får røre en terminal.",
    },
    "document_not_told": {"en": "(not told)", "nb": "(ikke oppgitt)"},
    "visit_refused": {
        "en": "Let nobody in: the visit by {company} on {day} is refused",
        "nb": "Slipp ingen inn: besøket fra {company} den {day} er avvist",
    },
    "visit_refused_what": {
        "en": "The platform did not verify {visitor} of {company}: {reason}\nNobody touches a terminal.",
        "nb": "Plattformen bekreftet ikke {visitor} fra {company}: {reason}\nIngen skal røre en terminal.",
    },
    "visit_codes": {
        "en": "Visit {visit}: {wrong} wrong codes at the door",
        "nb": "Besøk {visit}: {wrong} gale koder ved døren",
    },
    "visit_codes_what": {
        "en": "Somebody tried to be let in as {visitor} of {company}. The visit is refused.",
        "nb": "Noen prøvde å bli sluppet inn som {visitor} fra {company}. Besøket er avvist.",
    },
    # licences
    "licence_ends": {
        "en": "Licence of terminal {serial} ends in {days} days or less",
        "nb": "Lisensen til terminal {serial} går ut om {days} dager eller mindre",
    },
    "licence_what": {
        "en": "{plan} of terminal {serial} runs until the end of {day}. Order and assign a renewal before: it begins "
        "when this one ends, and no day is lost. Without one the terminal takes no cards after the grace period; "
        "charges that have begun are finished.",
        "nb": "{plan} for terminal {serial} gjelder til og med {day}. Bestill og tildel en fornyelse før det: den "
        "begynner når denne går ut, og ingen dag går tapt. Uten fornyelse tar terminalen ikke kort etter "
        "respittperioden; ladeøkter som har begynt, blir fullført.",
    },
    # alarms
    "alarm": {"en": "Alarm: {kind}, {about}", "nb": "Alarm: {kind}, {about}"},
    "alarm_closes": {
        "en": "The alarm closes by itself when this is over.",
        "nb": "Alarmen avsluttes av seg selv når dette er over.",
    },
    "terminal_offline": {
        "en": "Terminal {serial} has been offline since {since}. Look whether it has power and its network.",
        "nb": "Terminal {serial} har vært frakoblet siden {since}. Se etter om den har strøm og nett.",
    },
    "station_offline": {
        "en": "Station {station} was last seen at {seen}.",
        "nb": "Ladestasjon {station} ble sist sett {seen}.",
    },
    "taps_failing": {
        "en": "{failed} of {taps} taps at terminal {serial} failed since {day}.",
        "nb": "{failed} av {taps} kortforsøk på terminal {serial} har mislyktes siden {day}.",
    },
    "taps_none": {
        "en": "Nobody has tapped at terminal {serial} since {day}.",
        "nb": "Ingen har vist kort på terminal {serial} siden {day}.",
    },
    "release_unconfirmed": {
        "en": "Session {session}, over since {since}: the provider has not confirmed the release. Look it up there.",
        "nb": "Ladeøkt {session}, avsluttet {since}: betalingsleverandøren har ikke bekreftet frigivelsen. Slå den "
        "opp der.",
    },
    "capture_unconfirmed": {
        "en": "Session {session}, over since {since}: the provider has not confirmed the capture. Look it up there.",
        "nb": "Ladeøkt {session}, avsluttet {since}: betalingsleverandøren har ikke bekreftet belastningen. Slå "
        "den opp der.",
    },
    # test transactions
    "test_hold": {
        "en": "Terminal {serial}: a test hold is not confirmed as released",
        "nb": "Terminal {serial}: det er ikke bekreftet at en prøvereservasjon er frigitt",
    },
    "test_hold_what": {
        "en": "Case {case}, payment {payment}: {what}",
        "nb": "Sak {case}, betaling {payment}: {what}",
    },
    "payment_unknown": {"en": "unknown", "nb": "ukjent"},
    "test_silence": {
        "en": "The provider gave no answer ({reason}), try {tries}; it is asked again.",
        "nb": "Betalingsleverandøren svarte ikke ({reason}), forsøk {tries}; den blir spurt igjen.",
    },
    "test_late": {
        "en": "{silence} Until it answers a hold may stand on the card.",
        "nb": "{silence} Til den svarer, kan det stå en reservasjon på kortet.",
    },
    "test_hold_unknown": {
        "en": "Nobody could say whether the amount is held on the card. Ask the acquirer for this terminal's "
        "authorisations of that time, and have a hold that stands released; then make the test again.",
        "nb": "Ingen kunne si om beløpet er reservert på kortet. Spør innløseren om terminalens autorisasjoner på det "
        "tidspunktet, og sørg for at en reservasjon som står, blir frigitt; gjør så prøven på nytt.",
    },
    "test_unreleased": {
        "en": "{why} Ask the acquirer about payment {payment} and have it given back; then test again.",
        "nb": "{why} Spør innløseren om betaling {payment}, og få den tilbakeført; gjør så prøven på nytt.",
    },
    "test_unanswered": {
        "en": "The provider never answered whether the hold is released.",
        "nb": "Betalingsleverandøren svarte aldri på om reservasjonen er frigitt.",
    },
    "test_captured": {
        "en": "The amount was captured instead of released: the card was charged.",
        "nb": "Beløpet ble trukket i stedet for frigitt: kortet ble belastet.",
    },
    "test_failed": {
        "en": "The provider says that the payment failed, and not that the hold is released.",
        "nb": "Betalingsleverandøren sier at betalingen mislyktes, og ikke at reservasjonen er frigitt.",
    },
    "test_not_found": {
        "en": "The provider knows no such payment any more, and nobody can say whether the hold is gone.",
        "nb": "Betalingsleverandøren kjenner ikke betalingen lenger, og ingen kan si om reservasjonen er borte.",
    },
    # reconciliation
    "provider_unread": {
        "en": "The provider's transactions of {account} could not be read",
        "nb": "Betalingsleverandørens transaksjoner for {account} kunne ikke leses",
    },
    "provider_unread_what": {
        "en": "Reason: {reason}. Payments are not missed meanwhile: nothing is judged beyond what was read. Check the "
        "Data API's credentials and address; the next daily run goes on where this one was.",
        "nb": "Årsak: {reason}. Ingen betalinger går tapt imens: det som ikke er lest, blir ikke vurdert. Kontroller "
        "nøklene og adressen til Data API; neste daglige kjøring fortsetter der denne sluttet.",
    },
    # the calendar
    "calendar": {"en": "Terminals of {owner}", "nb": "Terminalene til {owner}"},
    "calendar_inspection": {
        "en": "Terminal {serial}: inspection ({occasion}), last day",
        "nb": "Terminal {serial}: kontroll ({occasion}), siste dag",
    },
    "calendar_inspection_what": {
        "en": "Damage, foreign stickers, unusual cables, the logo at power-on; photos.",
        "nb": "Skader, fremmede klistremerker, uvanlige kabler, logoen når terminalen slås på; bilder.",
    },
    "calendar_battery": {"en": "Terminal {serial}: charge its battery", "nb": "Terminal {serial}: lad batteriet"},
    "calendar_battery_what": {
        "en": "In storage it is charged every three months.",
        "nb": "På lager lades det hver tredje måned.",
    },
    "calendar_notice": {
        "en": "Incident {number} ({kind}, {serial}): notice to the platform is due",
        "nb": "Hendelse {number} ({kind}, {serial}): frist for varselet til plattformen",
    },
    "calendar_notice_what": {"en": "Reported at {at}.", "nb": "Meldt {at}."},
    "calendar_visit": {"en": "Visit by {company} (verified)", "nb": "Besøk fra {company} (bekreftet)"},
    "calendar_visit_open": {"en": "Visit by {company} (announced)", "nb": "Besøk fra {company} (meldt)"},
    "calendar_visit_open_what": {
        "en": "Not verified yet: let nobody in. {purpose}",
        "nb": "Ikke bekreftet ennå: slipp ingen inn. {purpose}",
    },
    "calendar_licence": {"en": "Terminal {serial}: its licence ends", "nb": "Terminal {serial}: lisensen går ut"},
    "calendar_licence_what": {
        "en": "From then on it takes no cards. Renew its plan before.",
        "nb": "Fra da av tar den ikke kort. Forny lisensen før det.",
    },
    "calendar_statement": {"en": "Statement due", "nb": "Avregning"},
    "calendar_statement_what": {
        "en": "What was sold from {day} on is stated, and paid out after.",
        "nb": "Salget fra og med {day} avregnes og blir så utbetalt.",
    },
}

#: What is told by a name of its own: each value of `inspections.Occasion`, `incidents.Kind` and `alarms.Kind`.
NAMES: Mapping[str, Mapping[str, str]] = {
    "weekly": {"en": "weekly", "nb": "ukentlig"},
    "before storage": {"en": "before storage", "nb": "før lagring"},
    "after storage": {"en": "after storage", "nb": "etter lagring"},
    "loss": {"en": "loss", "nb": "tap av terminalen"},
    "theft": {"en": "theft", "nb": "tyveri"},
    "damage": {"en": "damage", "nb": "skade"},
    "tampering": {"en": "tampering", "nb": "manipulering"},
    "destruction": {"en": "destruction", "nb": "ødeleggelse"},
    "doubt": {"en": "doubt", "nb": "tvil"},
    "terminal offline": {"en": "terminal offline", "nb": "terminal frakoblet"},
    "station offline": {"en": "station offline", "nb": "ladestasjon frakoblet"},
    "failing taps": {"en": "failing taps", "nb": "mislykkede kortforsøk"},
    "no taps": {"en": "no taps", "nb": "ingen kortbruk"},
    "release unconfirmed": {"en": "release unconfirmed", "nb": "frigivelse ikke bekreftet"},
    "capture unconfirmed": {"en": "capture unconfirmed", "nb": "belastning ikke bekreftet"},
}
