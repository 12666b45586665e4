"""Site owners and the care for their terminals: one noun a file, like `csms.stations`.

Owners, sites, processors, terminals and where they are, licences, onboarding, inspections, incidents, reminders. What
happens by the calendar is a step of the daily round (`rounds`); a module with steps lists them as ``ROUND``.
"""
