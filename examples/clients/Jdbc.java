import java.math.BigDecimal;
import java.sql.Connection;
import java.sql.DatabaseMetaData;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.postgresql.PGConnection;
import org.postgresql.util.PGobject;
import org.postgresql.util.PSQLException;

/**
 * kbilling from Java, by JDBC. What it connects to is in setup.sql.
 *
 * <pre>PGHOST=… PGPORT=… PGDATABASE=shop java -cp /usr/share/java/postgresql.jar examples/clients/Jdbc.java 6</pre>
 *
 * 6 is the account. All of it works behind pgbouncer in transaction mode, too; there, set prepareThreshold=0, as here, unless
 * pgbouncer is one that keeps prepared statements (1.21 or later, with max_prepared_statements). In its configuration, have
 * ignore_startup_parameters = extra_float_digits.
 */
public class Jdbc {
	/** A kb_money, as the driver hands it over when it is told of this class. */
	public static class Money extends PGobject {
		BigDecimal amount;
		String currency;

		@Override
		public void setValue(String value) throws SQLException {
			super.setValue(value);
			amount = new BigDecimal(value.split(" ")[0]);
			currency = value.split(" ")[1];
		}
	}

	interface Work {
		void run() throws SQLException;
	}

	/** stringtype=unspecified lets the server decide what a string is: an enum, a kb_money, a text. */
	static Connection connect(String user) throws SQLException {
		Map<String, String> env = System.getenv();
		return DriverManager.getConnection("jdbc:postgresql://%s:%s/%s?user=%s&prepareThreshold=0&stringtype=unspecified"
			.formatted(env.get("PGHOST"), env.get("PGPORT"), env.get("PGDATABASE"), user));
	}

	/** All rows of a statement, by the names of their columns. */
	static List<Map<String, Object>> query(Connection connection, String sql, Object... values) throws SQLException {
		List<Map<String, Object>> rows = new ArrayList<>();
		try (PreparedStatement statement = connection.prepareStatement(sql)) {
			for (int i = 0; i < values.length; i++)
				statement.setObject(i + 1, values[i]);
			if (!statement.execute())
				return rows;
			ResultSet result = statement.getResultSet();
			while (result.next()) {
				Map<String, Object> row = new LinkedHashMap<>();
				for (int i = 1; i <= result.getMetaData().getColumnCount(); i++)
					row.put(result.getMetaData().getColumnLabel(i), result.getObject(i));
				rows.add(row);
			}
		}
		return rows;
	}

	static Map<String, Object> one(Connection connection, String sql, Object... values) throws SQLException {
		return query(connection, sql, values).get(0);
	}

	/** One transaction, for a member. The next one on the same connection acts for nobody. */
	static void actFor(Connection connection, long account, String member, Work work) throws SQLException {
		connection.setAutoCommit(false);
		try {
			query(connection, "SELECT kb_act_as(?, ?)", account, member);
			work.run();
			connection.commit();
		} catch (SQLException e) {
			connection.rollback();
			throw e;
		} finally {
			connection.setAutoCommit(true);
		}
	}

	/** Prints what an error says: its SQLSTATE, and the hint, which a member can be shown for KB003. */
	static void refused(Work work) throws SQLException {
		try {
			work.run();
		} catch (PSQLException e) {
			System.out.println(e.getSQLState() + ": " + e.getServerErrorMessage().getHint());
		}
	}

	static void print(String format, Object... values) {
		System.out.println(format.formatted(values));
	}

	public static void main(String[] args) throws SQLException {
		long account = Long.parseLong(args[0]);

		// Two roles: the application cannot credit anybody.
		try (Connection app = connect("shop_app"); Connection webhook = connect("shop_webhook")) {
			// A function that returns a row stands in FROM, so that its columns are columns.
			var login = one(app, "SELECT stage, access FROM kb_login(?, ?)", account, "ann");
			print("login: %s, %s", login.get("stage"), login.get("access"));

			actFor(app, account, "ann", () ->
				query(app, "INSERT INTO ticket (account_id, subject, cost) VALUES (?, ?, ?)", account, "Printer on fire", "4.50 USD"));
			var acting = one(app, "SELECT kb_acting_member() AS member").get("member");
			print("acting afterwards: %s", acting == null ? "nobody" : acting);

			// An amount is passed as a number and a currency, or as a text with both: "50.00 USD".
			var begun = one(app, "SELECT payment_id, kb_amount(bonus) AS bonus FROM kb_begin_topup(?, ?, kb_money(?, ?))",
				account, "ann", new BigDecimal("50.00"), "USD");
			print("begun: payment %s, bonus %s", begun.get("payment_id"), begun.get("bonus"));

			String confirm = """
				SELECT kb_amount(credited) AS credited, balance, replayed
				FROM kb_apply_topup(?, kb_money(?, ?), 'card', ?, payment_id => ?)""";
			Object[] report = { account, new BigDecimal("50.00"), "USD", "payment-" + account, begun.get("payment_id") };
			var paid = one(webhook, confirm, report);
			print("paid: %s, balance %s, again: %s", paid.get("credited"), paid.get("balance"), paid.get("replayed"));
			print("paid: again: %s", one(webhook, confirm, report).get("replayed"));

			// Money as numbers: a BigDecimal, and the count of minor units.
			var money = one(app, "SELECT kb_amount(b) AS amount, kb_currency(b) AS currency, kb_minor(b) AS minor FROM kb_balance(?) b",
				account);
			print("money: %s %s, %s minor units, %s less 9.00", money.get("amount"), money.get("currency"), money.get("minor"),
				((BigDecimal) money.get("amount")).subtract(new BigDecimal(9)));

			for (var line : query(app, "SELECT what, from_date, kb_amount(amount) AS amount FROM kb_current_usage(?)", account))
				print("used: %s from %s, %s", line.get("what"), line.get("from_date"), line.get("amount"));

			var page = one(app, "SELECT p ->> 'member' AS member, p ->> 'role' AS role FROM kb_portal(?, ?) p", account, "ann");
			print("page: %s, %s", page.get("member"), page.get("role"));

			refused(() -> actFor(app, 1000, "eve", () ->
				query(app, "INSERT INTO ticket (account_id, subject) VALUES (1000, 'No coffee')")));
			refused(() -> one(app, "SELECT kb_begin_topup(?, 'bob', kb_money(50, 'USD'))", account));
			refused(() -> one(app, "SELECT kb_begin_topup(?, 'ann', ?)", account, "5"));

			int times = 0;
			for (int i = 0; i < 20; i++)
				if (one(app, "SELECT access FROM kb_login(?, ?)", account, "ann").get("access").equals("full"))
					times++;
			print("full access: %d times", times);

			// A class for kb_money, wherever it comes.
			app.unwrap(PGConnection.class).addDataType("kb_money", Money.class);
			var balance = (Money) one(app, "SELECT kb_balance(?) AS balance", account).get("balance");
			print("a class: %s and %s", balance.amount, balance.currency);

			// What the metadata say
			DatabaseMetaData data = app.getMetaData();
			try (ResultSet columns = data.getColumns(null, "kbilling", "account", "balance")) {
				while (columns.next())
					print("metadata: %s is of %s", columns.getString("COLUMN_NAME"), columns.getString("TYPE_NAME"));
			}
			try (ResultSet keys = data.getPrimaryKeys(null, "kbilling", "entry")) {
				while (keys.next())
					print("metadata: %s is in %s", keys.getString("COLUMN_NAME"), keys.getString("PK_NAME"));
			}
			try (ResultSet columns = data.getFunctionColumns(null, "kbilling", "kb_act_as", null)) {
				while (columns.next())
					print("metadata: %s %s", columns.getString("COLUMN_NAME"), columns.getString("TYPE_NAME"));
			}
		}
	}
}
