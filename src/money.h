/*
 * money.h
 *		kb_money: an exact amount in one ISO 4217 currency (rule M1).
 *
 * A value is 8 bytes, passed by value.  Read as an unsigned number, its high
 * 10 bits are the currency's ISO 4217 numeric code and its low 54 bits are the
 * count of minor units plus 2^53.  So the order of the unsigned numbers is the
 * order of the type: currency first, then amount (M3).
 */
#ifndef KBILLING_MONEY_H
#define KBILLING_MONEY_H

#include "postgres.h"
#include "fmgr.h"
#include "utils/numeric.h"

typedef uint64 Money;

#define MONEY_MINOR_BITS	54
#define MONEY_MINOR_BIAS	(INT64CONST(1) << 53)
#define MONEY_MINOR_MAX		(MONEY_MINOR_BIAS - 1)

#define DatumGetMoney(X)		((Money) DatumGetInt64(X))
#define MoneyGetDatum(X)		Int64GetDatum((int64) (X))
#define PG_GETARG_MONEY(n)		DatumGetMoney(PG_GETARG_DATUM(n))
#define PG_RETURN_MONEY(x)		return MoneyGetDatum(x)

/* Stands for no amount: it is below the range. */
#define NO_MONEY				((Money) 0)

/* Count of minor units, within +-MONEY_MINOR_MAX. */
static inline int64
money_minor(Money m)
{
	return (int64) (m & ((UINT64CONST(1) << MONEY_MINOR_BITS) - 1)) - MONEY_MINOR_BIAS;
}

/* ISO 4217 numeric code. */
static inline uint16
money_currency(Money m)
{
	return (uint16) (m >> MONEY_MINOR_BITS);
}

/* Both raise: 22003 out of range, KB002 two currencies in one sum. */
extern Money money_make(uint16 currency, int64 minor);
extern Money money_add(Money a, Money b);
extern Money money_sub(Money a, Money b);
extern Money money_neg(Money m);
extern void money_check_same_currency(Money a, Money b);

/* In major units, with the currency's exponent as scale; palloc'd. */
extern Numeric money_to_numeric(Money m);

/* Rounded half away from zero to the minor unit (M4); 22003 on NaN, infinity, overflow. */
extern Money money_round_numeric(Numeric amount, uint16 currency);

/* From "19.00 USD", as the type reads it. */
extern Money money_from_cstring(const char *str);

/* "19.00 USD"; palloc'd. */
extern char *money_to_cstring(Money m);

#endif
