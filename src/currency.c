/*
 * currency.c
 *		Look-up of ISO 4217 currencies, by letters and by number.
 */
#include "postgres.h"

#include "fmgr.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"

#include "card.h"
#include "compat.h"
#include "currency.h"

#define NUMBER_LIMIT	1000
#define MAX_SHOWN		8		/* characters of what is no code */

typedef struct CurrencyByCode
{
	char		code[CURRENCY_LETTERS + 1];
	uint16		number;
} CurrencyByCode;

typedef struct CurrencyByNumber
{
	char		code[CURRENCY_LETTERS + 1];	/* empty: no such number */
	int8		exponent;
} CurrencyByNumber;

#define CURRENCY(code, number, exponent)			{#code, number},
#define CURRENCY_RENAMED(code, number, exponent)	{#code, number},
static const CurrencyByCode by_code[] = {
#include "currencylist.h"
};
#undef CURRENCY
#undef CURRENCY_RENAMED

/* A number that went over to a new code is written with the new one. */
#define CURRENCY(code, number, exponent)			[number] = {#code, exponent},
#define CURRENCY_RENAMED(code, number, exponent)
static const CurrencyByNumber by_number[NUMBER_LIMIT] = {
#include "currencylist.h"
};
#undef CURRENCY
#undef CURRENCY_RENAMED

/* Find by letters */
uint16
currency_lookup(const char *s, size_t len)
{
	char		code[CURRENCY_LETTERS];
	size_t		low = 0;
	size_t		high = lengthof(by_code);

	if (len != CURRENCY_LETTERS)
		return 0;
	for (int i = 0; i < CURRENCY_LETTERS; i++)
		code[i] = pg_ascii_toupper((unsigned char) s[i]);

	while (low < high)
	{
		size_t		middle = (low + high) / 2;
		int			order = memcmp(code, by_code[middle].code, CURRENCY_LETTERS);

		if (order == 0)
			return by_code[middle].number;
		if (order < 0)
			high = middle;
		else
			low = middle + 1;
	}
	return 0;
}

const char *
currency_shown(const char *s, size_t len)
{
	char	   *code = pnstrdup(s, len);
	const char *shown = card_hidden(code);

	if (shown == code)
		code[pg_mbcharcliplen(code, len, MAX_SHOWN)] = '\0';
	return shown;
}

/* Currency of an SQL argument */
uint16
currency_from_text(const text *code)
{
	const char *letters = VARDATA_ANY(code);
	size_t		len = VARSIZE_ANY_EXHDR(code);
	uint16		currency = currency_lookup(letters, len);

	if (currency == 0)
		ereport(ERROR, CURRENCY_UNKNOWN(currency_shown(letters, len)));
	if (currency_exponent(currency) == NO_MINOR_UNIT)
		ereport(ERROR, CURRENCY_NOT_MONEY(currency));
	return currency;
}

/* Letters of a number */
const char *
currency_code(uint16 currency)
{
	if (currency >= NUMBER_LIMIT || by_number[currency].code[0] == '\0')
		return NULL;
	return by_number[currency].code;
}

/* Decimals of a number */
int
currency_exponent(uint16 currency)
{
	if (currency_code(currency) == NULL)
		return NO_MINOR_UNIT;
	return by_number[currency].exponent;
}

/* SQL: decimals of a code */
PG_FUNCTION_INFO_V1(kb_minor_units);
Datum
kb_minor_units(PG_FUNCTION_ARGS)
{
	text	   *code = PG_GETARG_TEXT_PP(0);
	const char *letters = VARDATA_ANY(code);
	size_t		len = VARSIZE_ANY_EXHDR(code);
	uint16		currency = currency_lookup(letters, len);
	int			exponent;

	if (currency == 0)
		ereport(ERROR, CURRENCY_UNKNOWN(currency_shown(letters, len)));
	exponent = currency_exponent(currency);
	if (exponent == NO_MINOR_UNIT)
		PG_RETURN_NULL();
	PG_RETURN_INT32(exponent);
}
