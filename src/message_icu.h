/*
 * message_icu.h
 *		Messages in the syntax of ICU's MessageFormat (rule N4).
 *
 * What message.c, which knows PostgreSQL, and message_icu.cpp, which knows ICU,
 * say to each other.  All texts are UTF-8.
 */
#ifndef KBILLING_MESSAGE_ICU_H
#define KBILLING_MESSAGE_ICU_H

#include <stdbool.h>

/*
 * Bounds on what one call may take of stack, memory and time: nothing interrupts
 * ICU.  They keep a call to some tens of milliseconds, and to half of the stack
 * that PostgreSQL keeps in reserve.
 */
#define MESSAGE_MAX_BRACES	200
#define MESSAGE_MAX_SIGNS	200	/* each # that is a number */
#define MESSAGE_MAX_WORDS	5	/* formats that write a number in words, whose rules ICU reads anew each time */
#define MESSAGE_MAX_DECIMALS	4	/* of a number in words: in Polish, ICU never ends with 11 of them */
#define MESSAGE_MAX_OFFSET	1000	/* of a plural, whole: what a number in words loses adds no decimals */
#define MESSAGE_MAX_PATTERN	32768	/* bytes, like those below */
#define MESSAGE_MAX_FACTS	65536
#define MESSAGE_MAX_LENGTH	65536	/* of the facts that are filled in */

typedef enum MessageFactKind
{
	MESSAGE_TEXT,
	MESSAGE_NUMBER,
	MESSAGE_DATE,
	MESSAGE_MONTH
} MessageFactKind;

typedef struct MessageFact
{
	MessageFactKind kind;
	const char *name;
	const char *value;			/* of a number, its digits */
	int			days;			/* of a date or month, its first day: days from 1970-01-01 */
} MessageFact;

typedef enum MessageOutcome
{
	MESSAGE_DONE,
	MESSAGE_SYNTAX_ERROR,		/* at offset */
	MESSAGE_NO_FACT,			/* text: its name */
	MESSAGE_WRONG_KIND,			/* text: the fact's name */
	MESSAGE_WRONG_FORMAT,		/* text: what is no format of a number */
	MESSAGE_HAS_EXPONENT,		/* in a number's skeleton: scale/1e9 writes a billion digits */
	MESSAGE_TOO_MANY_BRACES,
	MESSAGE_TOO_MANY_SIGNS,
	MESSAGE_TOO_MANY_WORDS,
	MESSAGE_TOO_MANY_DECIMALS,	/* of a number in words */
	MESSAGE_WRONG_OFFSET,		/* of a plural: not whole, or too large */
	MESSAGE_TOO_LONG,
	MESSAGE_NO_MEMORY,
	MESSAGE_FAILED				/* text: what ICU says */
} MessageOutcome;

typedef struct MessageResult
{
	MessageOutcome outcome;
	char	   *text;			/* from malloc, or null */
	int			offset;			/* in bytes */
	const char *reason;			/* of a syntax error */
} MessageResult;

#ifdef __cplusplus
extern "C"
{
#endif

/* Whether a language's tag is well-formed by BCP 47. */
extern bool message_is_tag(const char *tag);

/* The pattern with the facts filled in, or what is wrong. */
extern void message_format(const char *pattern, const char *language,
						   const MessageFact *facts, int nfacts, MessageResult *result);

#ifdef __cplusplus
}
#endif

#endif
