"""Limits of a service in a month (rule L3)."""
import usage


def units(account, service, period):
    """What counts toward a limit: under all prices of the month together; of max and last the highest."""
    sums = [quantity for quantity, _ in usage.totals(service, usage.of_month(account, service.name, period)).values()]
    if service.aggregation in ('max', 'last'):
        return max(sums, default=0)
    return sum(sums)


def beyond(model, account, service, event, before):
    """Whether an event that has been added takes the month beyond a limit."""
    limit = account.limits.get(service.name)
    if limit is None:
        limit = account.tariff_on(model.today(account)).limits.get(service.name)
    if limit is None or event.period in account.charges:
        return False
    after = units(account, service, event.period)
    return after > limit and after > before
