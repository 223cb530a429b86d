/*
 * currency.h
 *		The currencies of ISO 4217, list one, with their exponents.
 */
#ifndef KBILLING_CURRENCY_H
#define KBILLING_CURRENCY_H

#include "postgres.h"

/* Exponent of the codes that do not count money: metals, units of account, tests. */
#define NO_MINOR_UNIT	(-1)

/* Length of a code */
#define CURRENCY_LETTERS	3

/* Numeric code of a three-letter code in any case, 0 if unknown.  s need not be terminated. */
extern uint16 currency_lookup(const char *s, size_t len);

/* As above, for an SQL argument; unknown, or without a minor unit, is error 22023. */
extern uint16 currency_from_text(const text *code);

/* "USD" for 840; NULL if no such currency. */
extern const char *currency_code(uint16 currency);

/* Decimals of the currency: 2 for USD, 0 for JPY, 3 for KWD; else NO_MINOR_UNIT. */
extern int	currency_exponent(uint16 currency);

/* What an error shows of a code that is none: its beginning.  s need not be terminated. */
extern const char *currency_shown(const char *s, size_t len);

/* What to say of a code that currency_lookup or currency_exponent turns down. */
#define CURRENCY_UNKNOWN(shown) \
	(errcode(ERRCODE_INVALID_PARAMETER_VALUE), \
	 errmsg("unknown currency \"%s\"", (shown)), \
	 errhint("Use a three-letter code of ISO 4217, such as USD."))
#define CURRENCY_NOT_MONEY(currency) \
	(errcode(ERRCODE_INVALID_PARAMETER_VALUE), \
	 errmsg("%s is not a currency of payment", currency_code(currency)), \
	 errdetail("ISO 4217 gives it no minor unit to count in."), \
	 errhint("Use the code of a currency, such as USD."))

#endif
