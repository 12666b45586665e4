"""Billing counts: money, tariff, payment, ledger, receipt."""
