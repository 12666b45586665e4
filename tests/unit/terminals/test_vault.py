"""The vault: what opens, what does not, and what is told of it."""

import pytest
from cryptography.fernet import Fernet

from csms.settings import SettingsError, load_settings
from csms.terminals.vault import NoVaultKeyError, SealedError, Vault, is_key

OLD, NEW = Fernet.generate_key().decode(), Fernet.generate_key().decode()


def test_what_is_sealed_opens_and_is_not_to_be_read() -> None:
    vault = Vault([OLD])
    sealed = vault.seal("acc_1", {"api_key": "the-secret"})
    assert "the-secret" not in sealed
    assert sealed != vault.seal("acc_1", {"api_key": "the-secret"})
    assert vault.open("acc_1", sealed) == {"api_key": "the-secret"}


def test_what_was_sealed_for_one_does_not_open_for_another() -> None:
    vault = Vault([OLD])
    with pytest.raises(SealedError, match="for something else"):
        vault.open("acc_2", vault.seal("acc_1", {"api_key": "the-secret"}))


@pytest.mark.parametrize("damage", ["", "x", "gAAAAA", "\udcff", "ø" * 100])
def test_what_is_no_sealed_text_does_not_open(damage: str) -> None:
    with pytest.raises(SealedError, match="no key opens it"):
        Vault([OLD]).open("acc_1", damage)


def test_a_key_is_changed_by_putting_a_new_one_in_front() -> None:
    sealed = Vault([OLD]).seal("acc_1", {"api_key": "the-secret"})
    both = Vault([NEW, OLD])
    assert both.open("acc_1", sealed) == {"api_key": "the-secret"}
    again = both.resealed("acc_1", sealed)
    assert again is not None
    assert Vault([NEW]).open("acc_1", again) == {"api_key": "the-secret"}
    assert both.resealed("acc_1", again) is None
    with pytest.raises(SealedError):
        Vault([NEW]).open("acc_1", sealed)


def test_without_a_key_nothing_is_sealed_and_the_text_says_how_to_make_one() -> None:
    with pytest.raises(NoVaultKeyError) as refused:
        Vault([]).seal("acc_1", {"api_key": "the-secret"})
    assert "vault.keys" in str(refused.value)
    command = str(refused.value).split("python3 -c ")[1].strip('"')
    made: list[str] = []
    exec(command, {"print": made.append})
    assert is_key(made[0])


def test_a_setting_that_is_no_key_is_refused_without_being_repeated() -> None:
    with pytest.raises(SettingsError) as refused:
        load_settings(None, vault={"keys": ["not-a-key-but-a-secret"]})
    assert "32 random bytes" in str(refused.value)
    assert "not-a-key-but-a-secret" not in str(refused.value)
