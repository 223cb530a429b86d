"""Closure of unused accounts (rules D)."""


def step(model, account):
    """What the sweep does for an account."""


def cancelled(model, account, reason):
    account.state, account.delete_on = 'active', None
