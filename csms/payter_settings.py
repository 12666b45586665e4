"""Settings of the terminals' cloud."""

from __future__ import annotations

from typing import Self

from pydantic import Field, SecretStr, field_validator, model_validator

from csms.ocpp_settings import Section


class PayterSettings(Section):
    """The terminals' cloud. Without this section terminals are not served.

    Where owners' own processors are all there is, `base_url` and `api_key` are left out, and the rest is given.
    """

    base_url: str = Field(
        "",
        description=(
            "Where the platform's processor is: https://cps.mypayter.com/, the test host, or the simulator. Empty: "
            "there is none, only owners' own."
        ),
    )
    api_key: SecretStr | None = Field(
        None, description="The API key of the platform's Payter domain, where `base_url` is given. Secret."
    )
    domain: str = Field(
        "platform",
        min_length=1,
        max_length=80,
        description="The name of the platform's MyPayter domain: terminals are moved there to be served through it.",
    )
    callback_secret: SecretStr = Field(
        description="Part of the callbacks' address, 32 or more random characters of A–Z a–z 0–9 - _. Secret."
    )
    card_hash_key: SecretStr = Field(
        description="Key of the hash that stands for a card, 32 or more random characters. Changing it forgets cards."
    )
    callback_base: str = Field(
        "", description="How the cloud reaches this HTTP server, where that differs from `http.public_url`."
    )
    connect_timeout_s: float = Field(5, gt=0, description="Seconds to connect to the cloud.")
    read_timeout_s: float = Field(60, gt=0, description="Seconds to wait for the cloud's answer; then it is unknown.")
    card_poll_s: int = Field(20, ge=1, le=55, description="Length of one long poll for a card, seconds.")
    status_poll_s: float = Field(30, gt=0, description="Seconds between looks at a terminal that is offline.")

    @field_validator("callback_secret", "card_hash_key")
    @classmethod
    def _long_enough(cls, value: SecretStr) -> SecretStr:
        if len(value.get_secret_value()) < 32:
            raise ValueError(
                "must have 32 characters or more; make one with: "
                'python3 -c "import secrets; print(secrets.token_urlsafe(32))"'
            )
        return value

    @model_validator(mode="after")
    def _both_or_neither(self) -> Self:
        if bool(self.base_url) != bool(self.api_key and self.api_key.get_secret_value()):
            raise ValueError("needs both base_url and api_key, or neither where owners bring their own processors")
        return self
