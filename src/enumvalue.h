/*
 * enumvalue.h
 *		Values of the extension's own enum types, looked up once a session: a
 *		look-up in the catalog cache costs more than a rule over values.
 */
#ifndef KBILLING_ENUMVALUE_H
#define KBILLING_ENUMVALUE_H

#include "postgres.h"

#define ENUM_MAX_LABELS	8

/* An enum type; a static variable of who uses it. */
typedef struct EnumType
{
	const char *name;			/* its SQL name is kbilling.kb_NAME */
	const char *labels[ENUM_MAX_LABELS];	/* up to the first NULL; counted from 0 */
	bool		is_known;		/* the rest has been looked up */
	Oid			values[ENUM_MAX_LABELS];
	struct EnumType *next;		/* of those that are known */
} EnumType;

/* Looks the values up; part of enum_value. */
extern void enum_look_up(EnumType *type);

/* The n-th label as a value of the type. */
static inline Datum
enum_value(EnumType *type, int n)
{
	if (!type->is_known)
		enum_look_up(type);
	return ObjectIdGetDatum(type->values[n]);
}

/* Which label a value has. */
extern int	enum_label_no(EnumType *type, Datum value);

#endif
