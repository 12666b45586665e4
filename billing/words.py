"""Every word a driver reads about prices and receipts, per language. Data; a test sees that no language lacks one."""

from __future__ import annotations

from collections.abc import Mapping

_WORDS: dict[str, dict[str, str]] = {
    # prices
    "free": {"en": "Free", "nb": "Gratis"},
    "per_session": {"en": "start", "nb": "oppstart"},
    "idle": {"en": "idle", "nb": "tomgang"},
    "after": {"en": "after {minutes} min", "nb": "etter {minutes} min"},
    "at_least": {"en": "at least {amount}", "nb": "minst {amount}"},
    "at_most": {"en": "at most {amount}", "nb": "høyst {amount}"},
    # document
    "receipt": {"en": "Receipt", "nb": "Kvittering"},
    "credit_note": {"en": "Credit note", "nb": "Kreditnota"},
    "not_issued": {"en": "Not issued yet", "nb": "Ikke utstedt ennå"},
    "number": {"en": "Number", "nb": "Nummer"},
    "issued_at": {"en": "Date of issue", "nb": "Utstedt"},
    "refers_to": {"en": "Refers to receipt", "nb": "Gjelder kvittering"},
    "organisation_number": {"en": "Organisation number", "nb": "Org.nr."},
    "vat_number": {"en": "VAT number", "nb": "MVA-nummer"},
    "email": {"en": "E-mail", "nb": "E-post"},
    "phone": {"en": "Phone", "nb": "Telefon"},
    "buyer": {"en": "Buyer", "nb": "Kjøper"},
    "buyer_vat_number": {"en": "Buyer's VAT number", "nb": "Kjøpers MVA-nummer"},
    "seller": {"en": "Seller", "nb": "Selger"},
    # the charge
    "charging": {"en": "Charging", "nb": "Lading"},
    "station": {"en": "Station", "nb": "Ladestasjon"},
    "evse": {"en": "Charging point", "nb": "Ladepunkt"},
    "started_at": {"en": "Start", "nb": "Start"},
    "ended_at": {"en": "End", "nb": "Slutt"},
    "time_zone": {"en": "Time zone", "nb": "Tidssone"},
    "energy": {"en": "Energy delivered", "nb": "Levert energi"},
    "session_id": {"en": "Session", "nb": "Ladeøkt"},
    # the price
    "price": {"en": "Price", "nb": "Pris"},
    "item": {"en": "Item", "nb": "Post"},
    "quantity": {"en": "Quantity and price", "nb": "Antall og pris"},
    "amount": {"en": "Amount", "nb": "Beløp"},
    "incl_vat": {"en": "Prices include VAT.", "nb": "Prisene inkluderer mva."},
    "total": {"en": "Total", "nb": "Sum"},
    "vat": {"en": "VAT", "nb": "Mva."},
    "vat_rate": {"en": "VAT rate", "nb": "Mva.-sats"},
    "no_vat": {"en": "No VAT", "nb": "Uten mva."},
    "net": {"en": "Excl. VAT", "nb": "Ekskl. mva."},
    "gross": {"en": "Incl. VAT", "nb": "Inkl. mva."},
    "ENERGY": {"en": "Energy", "nb": "Energi"},
    "TIME": {"en": "Charging time", "nb": "Ladetid"},
    "PARKING_TIME": {"en": "Idle time", "nb": "Tomgang etter endt lading"},
    "FLAT": {"en": "Start fee", "nb": "Startgebyr"},
    "MIN_PRICE": {"en": "Up to the least price", "nb": "Opp til minstepris"},
    "MAX_PRICE": {"en": "Above the highest price", "nb": "Over høyeste pris"},
    "ABOVE_HOLD": {
        "en": "Above the reserved amount, not charged",
        "nb": "Over det reserverte beløpet, ikke belastet",
    },
    "REFUND": {"en": "Paid back", "nb": "Tilbakebetalt"},
    # the payment
    "payment": {"en": "Payment", "nb": "Betaling"},
    "held": {"en": "Reserved", "nb": "Reservert"},
    "charged": {"en": "Charged", "nb": "Belastet"},
    "released": {"en": "Released", "nb": "Frigitt"},
    "refunded": {"en": "Paid back", "nb": "Tilbakebetalt"},
    "card": {"en": "Card", "nb": "Kort"},
    "brand": {"en": "Card type", "nb": "Korttype"},
    "entry_mode": {"en": "Read by", "nb": "Lest med"},
    "CONTACTLESS": {"en": "Contactless", "nb": "Kontaktløs"},
    "CONTACT": {"en": "Chip", "nb": "Brikke"},
    "MAGSTRIPE": {"en": "Magnetic stripe", "nb": "Magnetstripe"},
    "QR_CODE": {"en": "QR code", "nb": "QR-kode"},
    "UNKNOWN": {"en": "Unknown", "nb": "Ukjent"},
    "aid": {"en": "Application (AID)", "nb": "Applikasjon (AID)"},
    "authorisation_code": {"en": "Authorisation code", "nb": "Autorisasjonskode"},
    "terminal_serial": {"en": "Terminal", "nb": "Terminal"},
    "merchant_id": {"en": "Merchant", "nb": "Brukersted"},
    "merchant_reference": {"en": "Merchant reference", "nb": "Brukerstedets referanse"},
    "psp_reference": {"en": "Payment reference", "nb": "Betalingsreferanse"},
    "hold_explained": {
        "en": "We reserved {held}; you paid {charged}. Your bank releases {released}, which can take days.",
        "nb": "Vi reserverte {held}; du betalte {charged}. Banken din frigir {released}; det kan ta noen dager.",
    },
    "hold_used_up": {
        "en": "We reserved {held}; you paid {charged}.",
        "nb": "Vi reserverte {held}; du betalte {charged}.",
    },
    "hold_released": {
        "en": "You paid nothing. Your bank releases the reserved {held}, which can take days.",
        "nb": "Du betalte ingenting. Banken din frigir de reserverte {held}; det kan ta noen dager.",
    },
    "refund_explained": {
        "en": "We pay back {charged} to your card, which can take days.",
        "nb": "Vi betaler tilbake {charged} til kortet ditt; det kan ta noen dager.",
    },
    "paid_at_station": {
        "en": "You paid {charged} at the charging station's own terminal.",
        "nb": "Du betalte {charged} på ladestasjonens egen terminal.",
    },
    "nothing_to_pay": {"en": "There was nothing to pay.", "nb": "Det var ingenting å betale."},
    # notes
    "provisional": {
        "en": "Provisional: the station has not reported the end yet. If you used less, the difference is paid back.",
        "nb": "Foreløpig: ladestasjonen har ikke meldt slutten ennå. Brukte du mindre, får du tilbake differansen.",
    },
    "flags": {"en": "Under review", "nb": "Til kontroll"},
    "signed_meter_data": {"en": "Signed meter data", "nb": "Signerte måledata"},
    "signed_records": {
        "en": "{count} record(s), in the JSON download",
        "nb": "{count} post(er), i JSON-nedlastingen",
    },
    "facilitated": {
        "en": "Technical facilitator: {facilitator}. You bought from, and paid to, {issuer} alone.",
        "nb": "Teknisk tilrettelegger: {facilitator}. Du kjøpte av, og betalte til, {issuer} alene.",
    },
    "link": {"en": "This receipt on the web", "nb": "Denne kvitteringen på nettet"},
    "download": {"en": "Download", "nb": "Last ned"},
    "pdf": {"en": "Receipt as PDF", "nb": "Kvittering som PDF"},
    "json": {"en": "Receipt as JSON", "nb": "Kvittering som JSON"},
    # a session without a receipt yet
    "status_starting": {"en": "Starting", "nb": "Starter"},
    "status_charging": {"en": "Charging", "nb": "Lader"},
    "status_finishing": {"en": "Finishing", "nb": "Avslutter"},
    "status_not_charged": {"en": "Not charged", "nb": "Ikke belastet"},
    "explain_starting": {
        "en": "Plug in the cable, if you have not done so. This page follows by itself.",
        "nb": "Sett i kabelen hvis du ikke har gjort det. Denne siden oppdateres av seg selv.",
    },
    "explain_charging": {
        "en": "Your car is charging. The receipt appears here when it is done.",
        "nb": "Bilen lader. Kvitteringen kommer her når ladingen er ferdig.",
    },
    "explain_finishing": {
        "en": "Charging has ended. The payment is being settled and the receipt appears here.",
        "nb": "Ladingen er ferdig. Betalingen gjøres opp, og kvitteringen kommer her.",
    },
    "explain_not_charged": {
        "en": "You paid nothing.",
        "nb": "Du betalte ingenting.",
    },
    "explain_reserved": {
        "en": "We reserved {held}. You pay only the final amount; your bank releases the rest, which can take days.",
        "nb": "Vi reserverte {held}. Du betaler bare sluttbeløpet; banken frigir resten, og det kan ta noen dager.",
    },
    "so_far": {"en": "Price so far", "nb": "Pris hittil"},
    "energy_so_far": {"en": "Energy so far", "nb": "Energi hittil"},
    "reason": {"en": "Reason", "nb": "Årsak"},
    "as_of": {"en": "As of", "nb": "Per"},
    # statements to owners
    "statement": {"en": "Consolidated statement", "nb": "Samlet avregning"},
    "statement_preview": {"en": "Statement, preview", "nb": "Avregning, foreløpig"},
    "period_from": {"en": "From", "nb": "Fra"},
    "period_to": {"en": "To", "nb": "Til"},
    "currency": {"en": "Currency", "nb": "Valuta"},
    "for_owner": {"en": "For", "nb": "Til"},
    "sales_by_way": {"en": "Sales by way of paying", "nb": "Salg per betalingsmåte"},
    "way": {"en": "Way of paying", "nb": "Betalingsmåte"},
    "way_card": {"en": "Card", "nb": "Kort"},
    "way_rfid": {"en": "RFID", "nb": "RFID"},
    "way_app": {"en": "App and web", "nb": "App og nett"},
    "way_roaming": {"en": "Roaming", "nb": "Roaming"},
    "sessions": {"en": "Sessions", "nb": "Ladeøkter"},
    "sales": {"en": "Sales", "nb": "Salg"},
    "refunds": {"en": "Refunds", "nb": "Tilbakebetalt"},
    "refund_count": {"en": "Refunds, number", "nb": "Tilbakebetalinger, antall"},
    "vat_of_sales": {"en": "VAT in sales and refunds", "nb": "Mva. i salg og tilbakebetalinger"},
    "fees": {"en": "Platform fees", "nb": "Plattformens gebyrer"},
    "fee_fixed": {"en": "Fixed, per paid session", "nb": "Fast, per betalt ladeøkt"},
    "fee_percent": {"en": "Percentage of sales", "nb": "Prosent av salget"},
    "fee_facilitation": {"en": "Facilitation, own processor", "nb": "Formidling, egen innløser"},
    "fees_with_vat": {"en": "Platform fees incl. VAT", "nb": "Plattformens gebyrer inkl. mva."},
    "licences": {"en": "Licences", "nb": "Lisenser"},
    "returned_payouts": {"en": "Returned payouts", "nb": "Returnerte utbetalinger"},
    "corrections": {"en": "Corrections", "nb": "Korreksjoner"},
    "booked_at": {"en": "Booked", "nb": "Bokført"},
    "and_more": {"en": "and {count} more", "nb": "og {count} til"},
    "settlement": {"en": "Settlement", "nb": "Oppgjør"},
    "carried_from": {"en": "Carried from the last statement", "nb": "Overført fra forrige avregning"},
    "balance": {"en": "Balance", "nb": "Saldo"},
    "carried_to": {"en": "Carried to the next statement", "nb": "Overføres til neste avregning"},
    "payout": {"en": "Payout", "nb": "Utbetaling"},
    "minimum_payout": {
        "en": "A balance below {amount} is carried to the next statement.",
        "nb": "En saldo under {amount} overføres til neste avregning.",
    },
    "refunds_keep_fees": {
        "en": "A refund gives no platform fee back.",
        "nb": "En tilbakebetaling gir ikke plattformens gebyr tilbake.",
    },
    "facilitated_note": {
        "en": "{amount} were collected by your own processor and paid to you by it; they are not part of this balance.",
        "nb": "{amount} ble innløst av din egen innløser og utbetalt av den; de er ikke med i denne saldoen.",
    },
}

LANGUAGES = ("en", "nb")


def known_language(language: str) -> str:
    """The language, or English where it is not known."""
    return language if language in LANGUAGES else "en"


def words(language: str) -> Mapping[str, str]:
    """The words of a language by key; English where the language is not known."""
    known = known_language(language)
    return {key: translations[known] for key, translations in _WORDS.items()}
