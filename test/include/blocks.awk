# From a page in Markdown, a script for psql: each block that begins with ```sql and no more, in a transaction that is rolled
# back where it can be in one, and after it a test that is reached if the block raised nothing.  mydb is the database.
/^```sql$/ { block = ""; line = FNR + 1; reading = 1; next }
/^```$/ && reading {
	reading = 0
	alone = block ~ /(^|\n)(BEGIN|CALL|REINDEX)/
	printf "\\o /dev/null\n%s%s%s\\o\n", alone ? "" : "BEGIN;\n", block, alone ? "" : "ROLLBACK;\n"
	printf "SELECT pass($$%s, line %d: the statements run$$);\n", FILENAME, line
	next
}
reading { gsub(/mydb/, ENVIRON["DATABASE"]); block = block $0 "\n" }
