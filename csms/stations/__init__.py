"""What is known of the stations, and what is wanted of them: one noun a file, version-free.

A noun's file holds its facts (what the version modules of `csms.ocpp` make of messages), its keepers (which write them
in the commit that journals them), its questions to the database, and its commands with their doers.
`csms.nouns` finds them.
"""
