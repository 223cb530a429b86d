/*
 * raise.c
 *		Errors for the statements of an SQL function, which has no RAISE.
 */
#include "postgres.h"

#include "args.h"
#include "card.h"
#include "fmgr.h"

/* Arguments of kb_raise */
enum
{
	ARG_STATE, ARG_MESSAGE, ARG_DETAIL, ARG_HINT
};

/* Whether it is one that an error can have: no class 00, which is success */
static bool
is_error_state(const char *state)
{
	return strlen(state) == 5 && strspn(state, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ") == 5 &&
		strncmp(state, "00", 2) != 0;
}

/* kb_raise(state, message, detail, hint) */
PG_FUNCTION_INFO_V1(kb_raise);
Datum
kb_raise(PG_FUNCTION_ARGS)
{
	char	   *state = arg_cstring(fcinfo, ARG_STATE);
	char	   *message = arg_cstring(fcinfo, ARG_MESSAGE);
	char	   *detail = arg_cstring(fcinfo, ARG_DETAIL);
	char	   *hint = arg_cstring(fcinfo, ARG_HINT);

	if (state == NULL || message == NULL || !is_error_state(state))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("an error has an SQLSTATE and a message")));
	card_check(message);
	if (detail != NULL)
		card_check(detail);
	if (hint != NULL)
		card_check(hint);

	ereport(ERROR,
			(errcode(MAKE_SQLSTATE(state[0], state[1], state[2], state[3], state[4])),
			 errmsg_internal("%s", message),
			 detail ? errdetail_internal("%s", detail) : 0,
			 hint ? errhint("%s", hint) : 0));
}

/* kb_require_not_null('names, in order', VARIADIC values) */
PG_FUNCTION_INFO_V1(kb_require_not_null);
Datum
kb_require_not_null(PG_FUNCTION_ARGS)
{
	char	   *names = arg_cstring(fcinfo, 0);

	for (int i = 1; i < PG_NARGS(); i++)
	{
		char	   *name = strsep(&names, ", ");

		while (name != NULL && *name == '\0')
			name = strsep(&names, ", ");
		arg_required(fcinfo, i, name ? name : "a value");
	}
	PG_RETURN_VOID();
}
