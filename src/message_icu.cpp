/*
 * message_icu.cpp
 *		Messages in the syntax of ICU's MessageFormat (rule N4): the side of ICU.
 *
 * In C++, because ICU's C API has no named arguments and takes them as a
 * va_list that the pattern types: a slip in a text would crash the server.
 *
 * Nothing of PostgreSQL is called here, so no error jumps past a destructor.
 * Nothing throws: ICU tells its errors by a code, and its operator new returns
 * null.
 */
#include <cstdlib>
#include <cstring>

#include <unicode/datefmt.h>
#include <unicode/messagepattern.h>
#include <unicode/msgfmt.h>
#include <unicode/numsys.h>
#include <unicode/ustring.h>

#include "message_icu.h"

using namespace icu;

namespace
{

const UDate MILLISECONDS_PER_DAY = 86400000.0;

/* The facts that a pattern uses, as ICU takes them. */
class Arguments : public UMemory
{
public:
	UnicodeString names[MESSAGE_MAX_BRACES];
	Formattable values[MESSAGE_MAX_BRACES];
	int			count = 0;
	int			in_words = 0;
	size_t		length = 0;		/* of all that is filled in, at most */
};

/* One call. */
struct Message
{
	const MessageFact *facts;
	int			nfacts;
	const Locale locale;
	MessageResult *result;
};

/*
 * A copy in UTF-8, from malloc; null if there is no memory
 */
char *
utf8_copy(const UnicodeString &string)
{
	UErrorCode	status = U_ZERO_ERROR;
	int32_t		length = 0;
	char	   *copy;

	u_strToUTF8WithSub(nullptr, 0, &length, string.getBuffer(), string.length(), 0xFFFD, nullptr, &status);
	copy = static_cast<char *>(std::malloc(static_cast<size_t>(length) + 1));
	if (copy == nullptr)
		return nullptr;
	status = U_ZERO_ERROR;
	u_strToUTF8WithSub(copy, length + 1, nullptr, string.getBuffer(), string.length(), 0xFFFD, nullptr, &status);
	return copy;
}

/*
 * Set the outcome and its text; true if all is well
 */
bool
finish(MessageResult *result, MessageOutcome outcome, const UnicodeString &text)
{
	result->outcome = outcome;
	result->text = text.isBogus() ? nullptr : utf8_copy(text);
	if (result->text == nullptr)
		result->outcome = MESSAGE_NO_MEMORY;
	return result->outcome == MESSAGE_DONE;
}

/*
 * Set the outcome by ICU's code for an error
 */
bool
fail(MessageResult *result, UErrorCode status)
{
	result->outcome = MESSAGE_NO_MEMORY;
	if (status == U_MEMORY_ALLOCATION_ERROR)
		return false;
	return finish(result, MESSAGE_FAILED, UnicodeString(u_errorName(status), -1, US_INV));
}

/*
 * Where the argument begins that ICU finds at fault without saying where
 *
 * That is the last one before which all is well.
 */
int32_t
fault_begins(const UnicodeString &pattern)
{
	int32_t		at = pattern.length();

	while ((at = pattern.lastIndexOf(u'{', 0, at)) > 0)
	{
		UErrorCode	status = U_ZERO_ERROR;
		MessagePattern prefix(status);

		prefix.parse(pattern.tempSubString(0, at), nullptr, status);
		if (U_SUCCESS(status))
			return at;
	}
	return 0;
}

/*
 * Say where a pattern is wrong, and what is known of it
 */
bool
fail_syntax(MessageResult *result, const UnicodeString &pattern, int32_t at, UErrorCode code)
{
	UErrorCode	status = U_ZERO_ERROR;

	result->outcome = MESSAGE_SYNTAX_ERROR;
	result->reason = "it is wrong from here on";
	if (code == U_UNMATCHED_BRACES || code == U_DEFAULT_KEYWORD_MISSING)
	{
		at = fault_begins(pattern);
		result->reason = code == U_UNMATCHED_BRACES ? "a brace that is opened here is not closed"
			: "a plural or select here has no branch \"other\"";
	}
	u_strToUTF8(nullptr, 0, &result->offset, pattern.getBuffer(), at, &status);
	return false;
}

/*
 * Read a pattern
 */
bool
parse(const UnicodeString &pattern, MessagePattern &parsed, MessageResult *result)
{
	UErrorCode	status = U_ZERO_ERROR;
	UParseError error;

	parsed.parse(pattern, &error, status);
	if (U_SUCCESS(status))
		return true;
	if (status == U_MEMORY_ALLOCATION_ERROR)
		return fail(result, status);
	return fail_syntax(result, pattern, error.offset, status);
}

/*
 * A date or month, written out
 *
 * With plain spaces: ICU's versions differ in them, and encodings other than
 * UTF-8 have few.
 */
UnicodeString
date_text(const MessageFact &fact, const Locale &locale, UErrorCode &status)
{
	UnicodeString text;
	LocalPointer<DateFormat> format(fact.kind == MESSAGE_DATE
									? DateFormat::createDateInstance(DateFormat::kLong, locale)
									: DateFormat::createInstanceForSkeleton(UnicodeString(u"yMMMM"), locale, status));

	if (format.isNull() && U_SUCCESS(status))
		status = U_MEMORY_ALLOCATION_ERROR;
	if (U_SUCCESS(status))
	{
		format->setTimeZone(*TimeZone::getGMT());
		format->format(fact.days * MILLISECONDS_PER_DAY, text);
	}
	text.findAndReplace(u"\u00A0", u" ");
	text.findAndReplace(u"\u202F", u" ");
	return text;
}

/*
 * A fact as ICU takes it
 */
Formattable
fact_value(const MessageFact &fact, const Locale &locale, UErrorCode &status)
{
	switch (fact.kind)
	{
		case MESSAGE_NUMBER:
			return Formattable(StringPiece(fact.value), status);
		case MESSAGE_DATE:
		case MESSAGE_MONTH:
			return Formattable(date_text(fact, locale, status));
		default:
			return Formattable(UnicodeString::fromUTF8(fact.value));
	}
}

const MessageFact *
find_fact(const Message &message, const char *name)
{
	for (int i = 0; i < message.nfacts; i++)
		if (std::strcmp(message.facts[i].name, name) == 0)
			return &message.facts[i];
	return nullptr;
}

/*
 * Whether a simple format is one of numbers; dates come written out
 */
bool
formats_numbers(const UnicodeString &format)
{
	return format == u"number" || format == u"spellout" || format == u"ordinal" || format == u"duration";
}

/*
 * Whether a number's skeleton has an option with an exponent, such as scale/1e9
 */
bool
has_exponent(const UnicodeString &style)
{
	const UnicodeString number(u"0123456789.+-");

	for (int32_t at = style.indexOf(u'/'); at >= 0; at = style.indexOf(u'/', at))
	{
		int32_t		begin = ++at;

		while (number.indexOf(style.charAt(at)) >= 0)
			at++;
		if (at > begin && (style.charAt(at) == u'e' || style.charAt(at) == u'E'))
			return true;
	}
	return false;
}

/*
 * Set the outcome that something is beyond a bound
 */
bool
refuse(MessageResult *result, MessageOutcome outcome)
{
	result->outcome = outcome;
	return false;
}

/*
 * Whether a number in words is within bounds
 */
bool
check_words(const MessageFact &fact, Arguments &arguments, MessageResult *result)
{
	const char *point = fact.kind == MESSAGE_NUMBER ? std::strchr(fact.value, '.') : nullptr;

	if (++arguments.in_words > MESSAGE_MAX_WORDS)
		return refuse(result, MESSAGE_TOO_MANY_WORDS);
	if (point != nullptr && std::strlen(point + 1) > MESSAGE_MAX_DECIMALS)
		return refuse(result, MESSAGE_TOO_MANY_DECIMALS);
	return true;
}

/*
 * Whether what a plural takes off its number is within bounds
 */
bool
check_offset(double offset, MessageResult *result)
{
	if (offset >= -MESSAGE_MAX_OFFSET && offset <= MESSAGE_MAX_OFFSET && offset == static_cast<int>(offset))
		return true;
	return refuse(result, MESSAGE_WRONG_OFFSET);
}

/*
 * Whether a simple format is one of numbers, and within bounds
 */
bool
check_simple(const MessagePattern &parsed, int start, const MessageFact &fact, Arguments &arguments,
			 MessageResult *result)
{
	UnicodeString format = parsed.getSubstring(parsed.getPart(start + 2));

	if (!formats_numbers(format))
		return finish(result, MESSAGE_WRONG_FORMAT, format);
	if (format != u"number" && !check_words(fact, arguments, result))
		return false;
	if (parsed.getPartType(start + 3) == UMSGPAT_PART_TYPE_ARG_STYLE &&
		has_exponent(parsed.getSubstring(parsed.getPart(start + 3))))
		return refuse(result, MESSAGE_HAS_EXPONENT);
	return true;
}

/*
 * Whether an argument has a format that takes its fact
 */
bool
check_kind(const MessagePattern &parsed, int start, const MessageFact &fact, const UnicodeString &name,
		   Arguments &arguments, MessageResult *result)
{
	UMessagePatternArgType type = parsed.getPart(start).getArgType();

	if (type == UMSGPAT_ARG_TYPE_NONE)
		return true;
	if (type == UMSGPAT_ARG_TYPE_SIMPLE && !check_simple(parsed, start, fact, arguments, result))
		return false;
	if (UMSGPAT_ARG_TYPE_HAS_PLURAL_STYLE(type) && !check_offset(parsed.getPluralOffset(start + 2), result))
		return false;
	if ((type == UMSGPAT_ARG_TYPE_SELECT) == (fact.kind == MESSAGE_NUMBER))
		return finish(result, MESSAGE_WRONG_KIND, name);
	return true;
}

/*
 * Add the fact of an argument, which begins at a part of the pattern
 */
bool
add_argument(const Message &message, const MessagePattern &parsed, int start, Arguments &arguments)
{
	UnicodeString name = parsed.getSubstring(parsed.getPart(start + 1));
	UErrorCode	status = U_ZERO_ERROR;
	char	   *utf8 = utf8_copy(name);
	const MessageFact *fact = utf8 ? find_fact(message, utf8) : nullptr;

	std::free(utf8);
	if (fact == nullptr)
		return finish(message.result, MESSAGE_NO_FACT, name);
	if (!check_kind(parsed, start, *fact, name, arguments, message.result))
		return false;
	arguments.length += std::strlen(fact->value);
	if (arguments.length > MESSAGE_MAX_LENGTH)
		return refuse(message.result, MESSAGE_TOO_LONG);
	arguments.names[arguments.count] = name;
	arguments.values[arguments.count++] = fact_value(*fact, message.locale, status);
	return U_SUCCESS(status) ? true : fail(message.result, status);
}

/*
 * Add the facts of all arguments, those of branches that are not taken too
 */
bool
add_arguments(const Message &message, const MessagePattern &parsed, Arguments &arguments)
{
	int			signs = 0;

	for (int i = 0; i < parsed.countParts(); i++)
	{
		if (parsed.getPartType(i) == UMSGPAT_PART_TYPE_ARG_START && !add_argument(message, parsed, i, arguments))
			return false;
		if (parsed.getPartType(i) == UMSGPAT_PART_TYPE_REPLACE_NUMBER && ++signs > MESSAGE_MAX_SIGNS)
			return refuse(message.result, MESSAGE_TOO_MANY_SIGNS);
	}
	return true;
}

/*
 * Fill in the arguments
 */
bool
fill_in(const Message &message, const UnicodeString &pattern, const Arguments &arguments)
{
	UErrorCode	status = U_ZERO_ERROR;
	UParseError error;
	UnicodeString text;
	MessageFormat format(pattern, message.locale, error, status);

	format.format(arguments.names, arguments.values, arguments.count, text, status);
	if (U_FAILURE(status))
		return fail(message.result, status);
	return finish(message.result, MESSAGE_DONE, text);
}

/*
 * Whether a pattern is within bounds: ICU recurses where braces nest
 */
bool
check_bounds(const char *pattern, MessageResult *result)
{
	size_t		length = 0;
	int			braces = 0;

	for (; pattern[length] != '\0'; length++)
		braces += pattern[length] == '{';
	if (length > MESSAGE_MAX_PATTERN)
		return refuse(result, MESSAGE_TOO_LONG);
	if (braces > MESSAGE_MAX_BRACES)
		return refuse(result, MESSAGE_TOO_MANY_BRACES);
	return true;
}

/*
 * The locale of a language
 *
 * Always with digits: where numbers are written by rules, as Roman ones are
 * (en-u-nu-roman), ICU calls itself without an end for those that the rules lack.
 */
Locale
find_locale(const char *language, UErrorCode &status)
{
	Locale		locale = Locale::forLanguageTag(language, status);
	UErrorCode	unknown = U_ZERO_ERROR;
	LocalPointer<NumberingSystem> system(NumberingSystem::createInstance(locale, unknown));

	if (U_SUCCESS(status) && (system.isNull() || U_FAILURE(unknown) || system->isAlgorithmic()))
		locale.setKeywordValue("numbers", "latn", status);
	return locale;
}

}								/* namespace */

extern "C" bool
message_is_tag(const char *tag)
{
	UErrorCode	status = U_ZERO_ERROR;

	(void) Locale::forLanguageTag(tag, status);
	return U_SUCCESS(status);
}

extern "C" void
message_format(const char *pattern, const char *language,
			   const MessageFact *facts, int nfacts, MessageResult *result)
{
	*result = MessageResult {};
	if (!check_bounds(pattern, result))
		return;

	UErrorCode	status = U_ZERO_ERROR;
	const Message message = {facts, nfacts, find_locale(language, status), result};

	if (U_FAILURE(status))
	{
		fail(result, status);
		return;
	}

	UnicodeString text = UnicodeString::fromUTF8(pattern);
	MessagePattern parsed(status);
	LocalPointer<Arguments> arguments(new Arguments, status);

	if (U_FAILURE(status))
		fail(result, status);
	else if (parse(text, parsed, result) && add_arguments(message, parsed, *arguments))
		fill_in(message, text, *arguments);
}
