/*
 * provider.c
 *		A payment provider's ids as references (rule T10).
 *
 * An id of digits may look like a card number.  In a reference, its digits stand
 * in groups that are too short for one, each closed by a tilde unless a letter
 * follows: "liqpay:245678~912345~67~".  A tilde is in no id, and separates no
 * groups of a card number, so what stands around a reference adds nothing to it.
 */
#include "postgres.h"

#include "ascii.h"
#include "card.h"
#include "fmgr.h"
#include "posting.h"
#include "utils/builtins.h"

#define GROUP_DIGITS	6
#define GROUP_END		'~'
#define PROVIDER_END	':'

/* Whether s is made of letters, digits and underscores */
static bool
is_plain(const char *s)
{
	for (; *s != '\0'; s++)
		if (!is_letter(*s) && !is_digit(*s) && *s != '_')
			return false;
	return true;
}

/* Whether s has the shape of a UUID, in which digits are not a card number's */
static bool
is_uuid(const char *s)
{
	static const char shape[] = "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx";

	if (strlen(s) != strlen(shape))
		return false;
	for (int i = 0; shape[i] != '\0'; i++)
		if (shape[i] == '-' ? s[i] != '-' : strchr("0123456789abcdefABCDEF", s[i]) == NULL)
			return false;
	return true;
}

/* A name by which references may begin: not one that is kbilling's own */
static bool
is_provider(const char *s)
{
	return is_letter(s[0]) && is_plain(s) &&
		strcmp(psprintf("%s%c", s, PROVIDER_END), OWN_KEY_PREFIX) != 0 && !card_number_in(s, strlen(s));
}

/* Ids have no separators between digits, as card numbers have where they are written by hand. */
static bool
is_id(const char *s)
{
	size_t		len = strlen(s);

	if (is_uuid(s))
		return true;
	return len > 0 && is_plain(s) && (strchr(s, '_') == NULL || !card_number_in(s, len));
}

/* The reference */
static char *
make_reference(const char *provider, const char *id)
{
	bool		in_groups = !is_uuid(id);
	int			group = 0;
	StringInfoData buf;

	initStringInfo(&buf);
	appendStringInfo(&buf, "%s%c", provider, PROVIDER_END);
	for (; *id != '\0'; id++)
	{
		appendStringInfoChar(&buf, *id);
		group = is_digit(*id) ? group + 1 : 0;
		if (in_groups && group > 0 && (group == GROUP_DIGITS || !is_digit(id[1])) && !is_letter(id[1]))
		{
			appendStringInfoChar(&buf, GROUP_END);
			group = 0;
		}
	}
	return buf.data;
}

/* kb_reference(provider, id) */
PG_FUNCTION_INFO_V1(kb_reference);
Datum
kb_reference(PG_FUNCTION_ARGS)
{
	char	   *provider = text_to_cstring(PG_GETARG_TEXT_PP(0));
	char	   *id = text_to_cstring(PG_GETARG_TEXT_PP(1));

	if (!is_provider(provider))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("\"%s\" is no name of a provider", card_hidden(provider)),
				 errdetail("It has letters, digits and underscores, and begins with a letter; \"kb\" is kbilling's own."),
				 errhint("Choose a name such as \"liqpay\", and keep to it.")));
	if (!is_id(id))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("\"%s\" is no id of a payment", card_hidden(id)),
				 errdetail("An id has letters, digits and underscores, or is a UUID."),
				 errhint("Pass the id alone, as the provider gives it.")));
	PG_RETURN_TEXT_P(cstring_to_text(make_reference(provider, id)));
}

/* kb_reference_id(reference): NULL for a reference that kb_reference has not made */
PG_FUNCTION_INFO_V1(kb_reference_id);
Datum
kb_reference_id(PG_FUNCTION_ARGS)
{
	char	   *reference = text_to_cstring(PG_GETARG_TEXT_PP(0));
	char	   *provider = pstrdup(reference);
	char	   *id = strchr(provider, PROVIDER_END);
	char	   *to;

	if (id == NULL)
		PG_RETURN_NULL();
	*id++ = '\0';
	to = id;
	for (char *from = id; *from != '\0'; from++)
		if (*from != GROUP_END)
			*to++ = *from;
	*to = '\0';
	if (!is_provider(provider) || !is_id(id) || strcmp(make_reference(provider, id), reference) != 0)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cstring_to_text(id));
}
