/*
 * unicodelist.h
 *		What characters outside ASCII count as where card numbers are looked for.
 *
 * UNICODE_RANGE(first, last, as), in order, no two of which overlap: the ASCII
 * character that each of the range counts as, or, if that is a digit, the first;
 * the others follow, and begin again at '0' after '9'.  There is no include guard:
 * the file is included where a table is made of it.
 *
 * From the Unicode Character Database 17.0: digits are what has the Numeric_Type
 * Decimal or Digit (DerivedNumericType.txt).  A space is what has the property
 * White_Space or Default_Ignorable_Code_Point, or the General_Category Cf, a dash
 * what has the General_Category Pd or Pc (PropList.txt, DerivedCoreProperties.txt,
 * DerivedGeneralCategory.txt), and either also what looks like one, or is typed for
 * one.  The forms of full width (U+FF01 to U+FF5E) are left out: they are those of
 * ASCII, in its order.
 */
UNICODE_RANGE(0x0085, 0x0085, ' ')	/* next line */
UNICODE_RANGE(0x0096, 0x0097, '-')	/* what Windows-1252's dashes become as ISO 8859 */
UNICODE_RANGE(0x00A0, 0x00A0, ' ')	/* no-break space */
UNICODE_RANGE(0x00AD, 0x00AD, ' ')	/* soft hyphen */
UNICODE_RANGE(0x00B2, 0x00B3, '2')	/* superscript */
UNICODE_RANGE(0x00B7, 0x00B7, '.')	/* middle dot */
UNICODE_RANGE(0x00B9, 0x00B9, '1')	/* superscript */
UNICODE_RANGE(0x02D7, 0x02D7, '-')	/* modifier letter minus */
UNICODE_RANGE(0x034F, 0x034F, ' ')	/* grapheme joiner */
UNICODE_RANGE(0x058A, 0x058A, '-')	/* Armenian hyphen */
UNICODE_RANGE(0x05BE, 0x05BE, '-')	/* Hebrew maqaf */
UNICODE_RANGE(0x0600, 0x0605, ' ')	/* Arabic number signs */
UNICODE_RANGE(0x061C, 0x061C, ' ')	/* Arabic letter mark */
UNICODE_RANGE(0x0660, 0x0669, '0')	/* Arabic */
UNICODE_RANGE(0x06DD, 0x06DD, ' ')
UNICODE_RANGE(0x06F0, 0x06F9, '0')	/* Persian, Urdu */
UNICODE_RANGE(0x070F, 0x070F, ' ')
UNICODE_RANGE(0x07C0, 0x07C9, '0')	/* N'Ko */
UNICODE_RANGE(0x0890, 0x0891, ' ')
UNICODE_RANGE(0x08E2, 0x08E2, ' ')
UNICODE_RANGE(0x0966, 0x096F, '0')	/* Devanagari */
UNICODE_RANGE(0x09E6, 0x09EF, '0')	/* Bengali */
UNICODE_RANGE(0x0A66, 0x0A6F, '0')	/* Gurmukhi */
UNICODE_RANGE(0x0AE6, 0x0AEF, '0')	/* Gujarati */
UNICODE_RANGE(0x0B66, 0x0B6F, '0')	/* Oriya */
UNICODE_RANGE(0x0BE6, 0x0BEF, '0')	/* Tamil */
UNICODE_RANGE(0x0C66, 0x0C6F, '0')	/* Telugu */
UNICODE_RANGE(0x0CE6, 0x0CEF, '0')	/* Kannada */
UNICODE_RANGE(0x0D66, 0x0D6F, '0')	/* Malayalam */
UNICODE_RANGE(0x0DE6, 0x0DEF, '0')	/* Sinhala Lith */
UNICODE_RANGE(0x0E50, 0x0E59, '0')	/* Thai */
UNICODE_RANGE(0x0ED0, 0x0ED9, '0')	/* Lao */
UNICODE_RANGE(0x0F20, 0x0F29, '0')	/* Tibetan */
UNICODE_RANGE(0x1040, 0x1049, '0')	/* Myanmar */
UNICODE_RANGE(0x1090, 0x1099, '0')	/* Myanmar Shan */
UNICODE_RANGE(0x115F, 0x1160, ' ')	/* Hangul fillers */
UNICODE_RANGE(0x1369, 0x1371, '1')	/* Ethiopic */
UNICODE_RANGE(0x1400, 0x1400, '-')
UNICODE_RANGE(0x1680, 0x1680, ' ')	/* Ogham space */
UNICODE_RANGE(0x17B4, 0x17B5, ' ')
UNICODE_RANGE(0x17E0, 0x17E9, '0')	/* Khmer */
UNICODE_RANGE(0x1806, 0x1806, '-')	/* Mongolian todo hyphen */
UNICODE_RANGE(0x180B, 0x180F, ' ')	/* Mongolian selectors and vowel separator */
UNICODE_RANGE(0x1810, 0x1819, '0')	/* Mongolian */
UNICODE_RANGE(0x1946, 0x194F, '0')	/* Limbu */
UNICODE_RANGE(0x19D0, 0x19D9, '0')	/* New Tai Lue */
UNICODE_RANGE(0x19DA, 0x19DA, '1')	/* New Tai Lue, Tham */
UNICODE_RANGE(0x1A80, 0x1A89, '0')	/* Tai Tham, Hora */
UNICODE_RANGE(0x1A90, 0x1A99, '0')	/* Tai Tham, Tham */
UNICODE_RANGE(0x1B50, 0x1B59, '0')	/* Balinese */
UNICODE_RANGE(0x1BB0, 0x1BB9, '0')	/* Sundanese */
UNICODE_RANGE(0x1C40, 0x1C49, '0')	/* Lepcha */
UNICODE_RANGE(0x1C50, 0x1C59, '0')	/* Ol Chiki */
UNICODE_RANGE(0x2000, 0x200F, ' ')	/* spaces, joiners, directions */
UNICODE_RANGE(0x2010, 0x2015, '-')	/* hyphens and dashes */
UNICODE_RANGE(0x2024, 0x2024, '.')	/* one dot leader */
UNICODE_RANGE(0x2027, 0x2027, '.')	/* hyphenation point */
UNICODE_RANGE(0x2028, 0x2029, '\n')	/* separators of lines and paragraphs */
UNICODE_RANGE(0x202A, 0x202F, ' ')	/* directions, narrow no-break space */
UNICODE_RANGE(0x203F, 0x2040, '-')	/* connecting punctuation */
UNICODE_RANGE(0x2043, 0x2043, '-')	/* hyphen bullet */
UNICODE_RANGE(0x2054, 0x2054, '-')
UNICODE_RANGE(0x205F, 0x206F, ' ')	/* spaces and what is not seen */
UNICODE_RANGE(0x2070, 0x2070, '0')	/* superscript */
UNICODE_RANGE(0x2074, 0x2079, '4')	/* superscript */
UNICODE_RANGE(0x207B, 0x207B, '-')	/* superscript minus */
UNICODE_RANGE(0x2080, 0x2089, '0')	/* subscript */
UNICODE_RANGE(0x208B, 0x208B, '-')	/* subscript minus */
UNICODE_RANGE(0x20DD, 0x20E0, ' ')	/* enclosing marks */
UNICODE_RANGE(0x20E2, 0x20E4, ' ')	/* enclosing marks, a keycap */
UNICODE_RANGE(0x2212, 0x2212, '-')	/* minus */
UNICODE_RANGE(0x2219, 0x2219, '.')	/* bullet operator */
UNICODE_RANGE(0x22C5, 0x22C5, '.')	/* dot operator */
UNICODE_RANGE(0x2460, 0x2468, '1')	/* circled */
UNICODE_RANGE(0x2474, 0x247C, '1')	/* in brackets */
UNICODE_RANGE(0x2488, 0x2490, '1')	/* with a full stop */
UNICODE_RANGE(0x24EA, 0x24EA, '0')	/* circled */
UNICODE_RANGE(0x24F5, 0x24FD, '1')	/* double circled */
UNICODE_RANGE(0x24FF, 0x24FF, '0')	/* negative circled */
UNICODE_RANGE(0x2500, 0x2501, '-')	/* box drawing */
UNICODE_RANGE(0x2776, 0x277E, '1')	/* dingbats */
UNICODE_RANGE(0x2780, 0x2788, '1')	/* dingbats */
UNICODE_RANGE(0x278A, 0x2792, '1')	/* dingbats */
UNICODE_RANGE(0x2796, 0x2796, '-')	/* heavy minus */
UNICODE_RANGE(0x2800, 0x2800, ' ')	/* blank Braille pattern */
UNICODE_RANGE(0x2E17, 0x2E17, '-')
UNICODE_RANGE(0x2E1A, 0x2E1A, '-')
UNICODE_RANGE(0x2E3A, 0x2E3B, '-')
UNICODE_RANGE(0x2E40, 0x2E40, '-')
UNICODE_RANGE(0x2E5D, 0x2E5D, '-')
UNICODE_RANGE(0x3000, 0x3000, ' ')	/* ideographic space */
UNICODE_RANGE(0x301C, 0x301C, '-')	/* wave dash */
UNICODE_RANGE(0x3030, 0x3030, '-')
UNICODE_RANGE(0x30A0, 0x30A0, '-')
UNICODE_RANGE(0x30FB, 0x30FB, '.')	/* middle dot */
UNICODE_RANGE(0x30FC, 0x30FC, '-')	/* prolonged sound mark, typed as a dash */
UNICODE_RANGE(0x3164, 0x3164, ' ')	/* Hangul filler */
UNICODE_RANGE(0xA620, 0xA629, '0')	/* Vai */
UNICODE_RANGE(0xA8D0, 0xA8D9, '0')	/* Saurashtra */
UNICODE_RANGE(0xA900, 0xA909, '0')	/* Kayah Li */
UNICODE_RANGE(0xA9D0, 0xA9D9, '0')	/* Javanese */
UNICODE_RANGE(0xA9F0, 0xA9F9, '0')	/* Myanmar Tai Laing */
UNICODE_RANGE(0xAA50, 0xAA59, '0')	/* Cham */
UNICODE_RANGE(0xABF0, 0xABF9, '0')	/* Meetei Mayek */
UNICODE_RANGE(0xFE00, 0xFE0F, ' ')	/* variation selectors */
UNICODE_RANGE(0xFE31, 0xFE34, '-')
UNICODE_RANGE(0xFE4D, 0xFE4F, '-')
UNICODE_RANGE(0xFE52, 0xFE52, '.')	/* small full stop */
UNICODE_RANGE(0xFE58, 0xFE58, '-')
UNICODE_RANGE(0xFE63, 0xFE63, '-')
UNICODE_RANGE(0xFEFF, 0xFEFF, ' ')	/* byte order mark */
UNICODE_RANGE(0xFF65, 0xFF65, '.')	/* middle dot of half width */
UNICODE_RANGE(0xFF70, 0xFF70, '-')	/* the same, of half width */
UNICODE_RANGE(0xFFA0, 0xFFA0, ' ')	/* Hangul filler of half width */
UNICODE_RANGE(0xFFF0, 0xFFFB, ' ')	/* annotations */
UNICODE_RANGE(0x104A0, 0x104A9, '0')	/* Osmanya */
UNICODE_RANGE(0x10A40, 0x10A43, '1')	/* Kharoshthi */
UNICODE_RANGE(0x10D30, 0x10D39, '0')	/* Hanifi Rohingya */
UNICODE_RANGE(0x10D40, 0x10D49, '0')	/* Garay */
UNICODE_RANGE(0x10D6E, 0x10D6E, '-')
UNICODE_RANGE(0x10E60, 0x10E68, '1')	/* Rumi */
UNICODE_RANGE(0x10EAD, 0x10EAD, '-')
UNICODE_RANGE(0x11052, 0x1105A, '1')	/* Brahmi numbers */
UNICODE_RANGE(0x11066, 0x1106F, '0')	/* Brahmi */
UNICODE_RANGE(0x110BD, 0x110BD, ' ')
UNICODE_RANGE(0x110CD, 0x110CD, ' ')
UNICODE_RANGE(0x110F0, 0x110F9, '0')	/* Sora Sompeng */
UNICODE_RANGE(0x11136, 0x1113F, '0')	/* Chakma */
UNICODE_RANGE(0x111D0, 0x111D9, '0')	/* Sharada */
UNICODE_RANGE(0x112F0, 0x112F9, '0')	/* Khudawadi */
UNICODE_RANGE(0x11450, 0x11459, '0')	/* Newa */
UNICODE_RANGE(0x114D0, 0x114D9, '0')	/* Tirhuta */
UNICODE_RANGE(0x11650, 0x11659, '0')	/* Modi */
UNICODE_RANGE(0x116C0, 0x116C9, '0')	/* Takri */
UNICODE_RANGE(0x116D0, 0x116E3, '0')	/* Pa'o Karen, Eastern Pwo Karen */
UNICODE_RANGE(0x11730, 0x11739, '0')	/* Ahom */
UNICODE_RANGE(0x118E0, 0x118E9, '0')	/* Warang Citi */
UNICODE_RANGE(0x11950, 0x11959, '0')	/* Dives Akuru */
UNICODE_RANGE(0x11BF0, 0x11BF9, '0')	/* Sunuwar */
UNICODE_RANGE(0x11C50, 0x11C59, '0')	/* Bhaiksuki */
UNICODE_RANGE(0x11D50, 0x11D59, '0')	/* Masaram Gondi */
UNICODE_RANGE(0x11DA0, 0x11DA9, '0')	/* Gunjala Gondi */
UNICODE_RANGE(0x11DE0, 0x11DE9, '0')	/* Tolong Siki */
UNICODE_RANGE(0x11F50, 0x11F59, '0')	/* Kawi */
UNICODE_RANGE(0x13430, 0x1343F, ' ')
UNICODE_RANGE(0x16130, 0x16139, '0')	/* Gurung Khema */
UNICODE_RANGE(0x16A60, 0x16A69, '0')	/* Mro */
UNICODE_RANGE(0x16AC0, 0x16AC9, '0')	/* Tangsa */
UNICODE_RANGE(0x16B50, 0x16B59, '0')	/* Pahawh Hmong */
UNICODE_RANGE(0x16D70, 0x16D79, '0')	/* Kirat Rai */
UNICODE_RANGE(0x1BCA0, 0x1BCA3, ' ')
UNICODE_RANGE(0x1CCF0, 0x1CCF9, '0')	/* outlined */
UNICODE_RANGE(0x1D173, 0x1D17A, ' ')
UNICODE_RANGE(0x1D7CE, 0x1D7FF, '0')	/* mathematical, of five alphabets */
UNICODE_RANGE(0x1E140, 0x1E149, '0')	/* Nyiakeng Puachue Hmong */
UNICODE_RANGE(0x1E2F0, 0x1E2F9, '0')	/* Wancho */
UNICODE_RANGE(0x1E4F0, 0x1E4F9, '0')	/* Nag Mundari */
UNICODE_RANGE(0x1E5F1, 0x1E5FA, '0')	/* Ol Onal */
UNICODE_RANGE(0x1E950, 0x1E959, '0')	/* Adlam */
UNICODE_RANGE(0x1F100, 0x1F100, '0')	/* with a full stop */
UNICODE_RANGE(0x1F101, 0x1F10A, '0')	/* with a comma */
UNICODE_RANGE(0x1FBF0, 0x1FBF9, '0')	/* of a segmented display */
UNICODE_RANGE(0xE0000, 0xE0FFF, ' ')	/* tags, variation selectors */
