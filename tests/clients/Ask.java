// What programs on the JVM do with a server of Postgres, by its JDBC driver: each line of output is a name and what was found,
// which clients.py compares. Arguments: the URL, the user, the token or nothing.

import java.sql.Array;
import java.sql.Connection;
import java.sql.DatabaseMetaData;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.ResultSetMetaData;
import java.sql.SQLException;
import java.sql.SQLWarning;
import java.sql.Statement;
import java.sql.Timestamp;
import java.util.ArrayList;
import java.util.List;
import java.util.Properties;

public class Ask {
    interface Step {
        Object run() throws Exception;
    }

    static void say(String name, Step step) {
        Object found;
        try {
            found = step.run();
        } catch (SQLException e) {
            found = "SQLSTATE " + e.getSQLState();
        } catch (Exception e) {
            found = e.toString();
        }
        System.out.println(name + "=" + found);
    }

    static List<String> column(ResultSet rows, String column) throws SQLException {
        List<String> found = new ArrayList<>();
        while (rows.next()) {
            found.add(rows.getString(column));
        }
        return found;
    }

    public static void main(String[] args) throws Exception {
        Properties given = new Properties();
        given.setProperty("user", args[1]);
        if (args.length > 2) {
            given.setProperty("password", args[2]);
        }
        try (Connection c = DriverManager.getConnection(args[0], given)) {
            metadata(c.getMetaData());
            questions(c);
            prepared(c);
            parts(c);
            endings(c);
        } catch (SQLException e) {
            System.out.println("connect=SQLSTATE " + e.getSQLState());
        }
    }

    static void metadata(DatabaseMetaData m) {
        say("product", () -> m.getDatabaseProductName() + " " + m.getDatabaseMajorVersion());
        say("schemas", () -> column(m.getSchemas(), "TABLE_SCHEM"));
        say("catalogs", () -> column(m.getCatalogs(), "TABLE_CAT").size());
        say("tables", () -> column(m.getTables(null, "public", "%", new String[] {"TABLE"}), "TABLE_NAME"));
        say("views", () -> column(m.getTables(null, "public", null, new String[] {"VIEW"}), "TABLE_NAME"));
        say("system", () -> column(m.getTables(null, "sg", "%", null), "TABLE_NAME"));
        say("remarks", () -> column(m.getTables(null, "public", "visitors", null), "REMARKS"));
        say("columns", () -> column(m.getColumns(null, "public", "visitors", "%"), "COLUMN_NAME"));
        say("types", () -> column(m.getColumns(null, "public", "visitors", "%"), "TYPE_NAME"));
        say("positions", () -> column(m.getColumns(null, "public", "visitors", null), "ORDINAL_POSITION"));
        say("nullable", () -> column(m.getColumns(null, "public", "visitors", "exact"), "IS_NULLABLE"));
        say("primaryKeys", () -> column(m.getPrimaryKeys(null, "public", "visitors"), "COLUMN_NAME"));
        say("importedKeys", () -> column(m.getImportedKeys(null, "public", "visitors"), "FKCOLUMN_NAME"));
        say("indexInfo", () -> column(m.getIndexInfo(null, "public", "visitors", false, false), "INDEX_NAME"));
        say("bestRow", () -> column(m.getBestRowIdentifier(null, "public", "visitors", 0, true), "COLUMN_NAME"));
        say("typeInfo", () -> column(m.getTypeInfo(), "TYPE_NAME").contains("timestamptz"));
        say("tableTypes", () -> column(m.getTableTypes(), "TABLE_TYPE").contains("VIEW"));
        say("functions", () -> column(m.getFunctions(null, "public", "%"), "FUNCTION_NAME").size());
        say("procedures", () -> column(m.getProcedures(null, null, "nothing"), "PROCEDURE_NAME").size());
        say("privileges", () -> column(m.getTablePrivileges(null, "public", "visitors"), "PRIVILEGE").contains("INSERT"));
        say("keywords", () -> m.getSQLKeywords().length() > 0);
        say("nameLength", () -> m.getMaxColumnNameLength());
    }

    static void questions(Connection c) {
        say("valid", () -> c.isValid(5));
        say("total", () -> {
            try (Statement s = c.createStatement(); ResultSet r = s.executeQuery("select value, low, high, exact, start from visitors()  where grouped_by = ''")) {
                r.next();
                return r.getLong(1) + " " + r.getLong(2) + " " + r.getLong(3) + " " + r.getBoolean(4) + " " + r.getTimestamp(5);
            }
        });
        say("resultTypes", () -> {
            try (Statement s = c.createStatement(); ResultSet r = s.executeQuery("select start, value, confidence, exact, sketch, grouped_by from visitors limit 0")) {
                ResultSetMetaData m = r.getMetaData();
                List<String> found = new ArrayList<>();
                for (int i = 1; i <= m.getColumnCount(); i++) {
                    found.add(m.getColumnName(i) + " " + m.getColumnTypeName(i));
                }
                return found;
            }
        });
        say("warning", () -> {
            try (Statement s = c.createStatement()) {
                s.executeQuery("select sum(value) from visitors where grouped_by = ''");
                SQLWarning w = s.getWarnings();
                return w == null ? null : w.getSQLState() + " " + w.getMessage().contains("distinct");
            }
        });
        say("several", () -> {
            try (Statement s = c.createStatement()) {
                boolean rows = s.execute("begin; select 1; commit");
                return rows + " " + s.getMoreResults() + " " + s.getMoreResults();
            }
        });
        say("noColumn", () -> c.createStatement().executeQuery("select nope from visitors"));
        say("noTable", () -> c.createStatement().executeQuery("select * from nope"));
        say("noFunction", () -> c.createStatement().executeQuery("select nope(1)"));
        say("syntax", () -> c.createStatement().executeQuery("selec 1"));
        say("write", () -> c.createStatement().executeUpdate("delete from visitors"));
    }

    static void prepared(Connection c) {
        // More than five times: then the driver prepares on the server and takes values in their binary form.
        say("prepared", () -> {
            List<Object> found = new ArrayList<>();
            try (PreparedStatement s = c.prepareStatement("select value + ?, ?, ?, ?, ?, start, exact, confidence, make_array(1, 2) from visitors() where grouped_by = ?")) {
                for (int i = 0; i < 8; i++) {
                    s.setLong(1, i);
                    s.setString(2, "it's");
                    s.setDouble(3, 0.5);
                    s.setBoolean(4, true);
                    s.setBytes(5, new byte[] {0, (byte) 255});
                    s.setString(6, "");
                    try (ResultSet r = s.executeQuery()) {
                        r.next();
                        Array array = r.getArray(9);
                        found.add(r.getLong(1) + " " + r.getString(2) + " " + r.getDouble(3) + " " + r.getBoolean(4) + " "
                            + r.getBytes(5).length + " " + r.getTimestamp(6) + " " + r.getBoolean(7) + " " + r.getDouble(8)
                            + " " + array);
                    }
                }
            }
            return found.get(0) + " / " + found.get(7);
        });
        say("since", () -> {
            try (PreparedStatement s = c.prepareStatement("select count(*) from visitors where grouped_by = '' and start >= ?")) {
                long last = 0;
                for (int i = 0; i < 7; i++) {
                    s.setTimestamp(1, new Timestamp(1767231000000L));
                    try (ResultSet r = s.executeQuery()) {
                        r.next();
                        last = r.getLong(1);
                    }
                }
                return last;
            }
        });
        say("window", () -> {
            try (PreparedStatement s = c.prepareStatement("select count(*) from visitors(?, ?, by => ?)")) {
                s.setString(1, "2m");
                s.setString(2, "1m");
                s.setString(3, "");
                try (ResultSet r = s.executeQuery()) {
                    r.next();
                    return r.getLong(1) > 2;
                }
            }
        });
        say("parameters", () -> c.prepareStatement("select * from visitors where start > ? and value > ? and grouped_by = ?").getParameterMetaData().getParameterTypeName(1));
    }

    static void parts(Connection c) {
        say("parts", () -> {
            c.setAutoCommit(false);
            int many = 0;
            try (Statement s = c.createStatement()) {
                s.setFetchSize(7);
                try (ResultSet r = s.executeQuery("select a.value from generate_series(1, 100) a")) {
                    while (r.next()) {
                        many++;
                    }
                }
            }
            c.commit();
            c.setAutoCommit(true);
            return many;
        });
        say("rowsMax", () -> {
            try (Statement s = c.createStatement()) {
                s.setMaxRows(3);
                try (ResultSet r = s.executeQuery("select a.value from generate_series(1, 100) a")) {
                    int many = 0;
                    while (r.next()) {
                        many++;
                    }
                    return many;
                }
            }
        });
        say("savepoint", () -> {
            c.setAutoCommit(false);
            java.sql.Savepoint back = c.setSavepoint("before");
            try {
                c.createStatement().executeQuery("select nope from visitors");
            } catch (SQLException e) {
                c.rollback(back);
            }
            try (ResultSet r = c.createStatement().executeQuery("select 1")) {
                r.next();
                int found = r.getInt(1);
                c.commit();
                c.setAutoCommit(true);
                return found;
            }
        });
    }

    static void endings(Connection c) {
        String heavy = "select count(*) from generate_series(1, 100000) a, generate_series(1, 100000) b";
        say("timeout", () -> {
            try (Statement s = c.createStatement()) {
                s.setQueryTimeout(1);
                return s.executeQuery(heavy);
            }
        });
        say("statementTimeout", () -> {
            try (Statement s = c.createStatement()) {
                s.execute("set statement_timeout = '300ms'");
                try {
                    return s.executeQuery(heavy);
                } finally {
                    s.execute("reset statement_timeout");
                }
            }
        });
        say("readOnly", () -> {
            c.setReadOnly(true);
            c.setTransactionIsolation(Connection.TRANSACTION_SERIALIZABLE);
            return c.getTransactionIsolation() > 0;
        });
        say("after", () -> c.isValid(5));
    }
}
