"""A test for every case of the OCPP certification of a central system, by its id: `pytest -k TC_B_01`.

Everything is driven from outside: a station made of bare frames on a websocket, an operator's HTTP client, and nothing
else. The texts of the cases are the OCA's and are not repeated here; what a case demands is derived from its name and
the protocol.
"""
