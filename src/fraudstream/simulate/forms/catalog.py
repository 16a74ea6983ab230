"""The five event forms by the name of the reference pipeline that reads them."""

from __future__ import annotations

import difflib

from fraudstream.errors import UsageError
from fraudstream.simulate.forms.account_transfers import ACCOUNT_TRANSFERS
from fraudstream.simulate.forms.card_payments import CARD_PAYMENTS
from fraudstream.simulate.forms.form import Form
from fraudstream.simulate.forms.retail import RETAIL
from fraudstream.simulate.forms.terminal_payments import TERMINAL_PAYMENTS
from fraudstream.simulate.forms.user_activity import USER_ACTIVITY

FORMS = {form.name: form for form in (CARD_PAYMENTS, ACCOUNT_TRANSFERS, RETAIL, USER_ACTIVITY, TERMINAL_PAYMENTS)}


def find_form(name: str) -> Form:
    """The event form of that name.

    Raises:
        UsageError: There is none.
    """
    if name not in FORMS:
        near = difflib.get_close_matches(name, FORMS, 1)
        guess = f" Did you mean {near[0]}?" if near else ""
        raise UsageError(f"There is no event form {name!r}.{guess}", f"Choose from: {', '.join(FORMS)}.")
    return FORMS[name]
