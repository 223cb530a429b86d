/*
 * decimal.h
 *		Decimal numbers: as they were written, and as the server's numeric.
 */
#ifndef KBILLING_DECIMAL_H
#define KBILLING_DECIMAL_H

#include "postgres.h"
#include "fmgr.h"
#include "utils/fmgrprotos.h"
#include "utils/numeric.h"

#define DECIMAL_MAX_SCALE	12

/* A decimal as it was written: 19.00 is 1900 and 2. */
typedef struct Decimal
{
	int64		mantissa;		/* never negative */
	uint8		scale;			/* 0 .. DECIMAL_MAX_SCALE */
} Decimal;

/* 10^n, for n up to DECIMAL_MAX_SCALE */
static inline int64
power_of_ten(int n)
{
	static const int64 powers[DECIMAL_MAX_SCALE + 1] = {
		INT64CONST(1), INT64CONST(10), INT64CONST(100), INT64CONST(1000),
		INT64CONST(10000), INT64CONST(100000), INT64CONST(1000000),
		INT64CONST(10000000), INT64CONST(100000000), INT64CONST(1000000000),
		INT64CONST(10000000000), INT64CONST(100000000000),
		INT64CONST(1000000000000)
	};

	Assert(n >= 0 && n <= DECIMAL_MAX_SCALE);
	return powers[n];
}

/* In units of the smallest decimal, for comparison */
static inline int128
decimal_value(Decimal d)
{
	return (int128) d.mantissa * power_of_ten(DECIMAL_MAX_SCALE - d.scale);
}

/* Without its last zeros, so that equal decimals are the same */
static inline Decimal
decimal_normal(Decimal d)
{
	while (d.scale > 0 && d.mantissa % 10 == 0)
	{
		d.mantissa /= 10;
		d.scale--;
	}
	return d;
}

static inline Numeric
decimal_to_numeric(Decimal d)
{
	return int64_div_fast_to_numeric(d.mantissa, d.scale);
}

/* Call one of the server's functions over two numerics */
static inline Numeric
numeric_call(PGFunction function, Numeric a, Numeric b)
{
	return DatumGetNumeric(DirectFunctionCall2(function, NumericGetDatum(a), NumericGetDatum(b)));
}

/* Order of two numerics, NaN last */
static inline int
numeric_order(Numeric a, Numeric b)
{
	return DatumGetInt32(DirectFunctionCall2(numeric_cmp, NumericGetDatum(a), NumericGetDatum(b)));
}

#endif
