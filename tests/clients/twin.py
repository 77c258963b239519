"""A real Postgres, where there is one, is asked what the catalogue's interpreter is asked: both are to say the same."""

import contextlib
import glob
import os
import pathlib
import shutil
import subprocess
import tempfile
import time

import psycopg

EXPRESSIONS = """1+2*3 | 7/2 | 7%3 | -7/2 | 'a'||1 | 1.5+1 | 'a' < 'b' | null and false | null or true | not null | 1 = any(array[1,2])
1 <> all(array[2,3]) | null in (1,2) | 3 not in (1,null) | coalesce(null,2) | nullif(1,1) | nullif(1,2) | greatest(1,null,3) | least(2,1)
case when null then 1 else 2 end | case 2 when 1 then 'a' when 2 then 'b' end | 'abc' like 'a%' | 'abc' ilike 'A_C' | 'abc' ~ '^a'
'ABC' ~* 'b' | 'abc' !~ 'x' | lower('ABC') | upper('abc') | length('häß') | octet_length('hä') | substring('hello' from 2 for 3)
substr('hello',2) | trim('  a ') | btrim('xxaxx','x') | ltrim('xxa','x') | rtrim('axx','x') | replace('abcabc','b','X')
split_part('a.b.c','.',2) | strpos('hello','l') | position('l' in 'hello') | left('hello',2) | concat('a',null,'b') | concat_ws(',','a',null,'b')
string_to_array('a,b,c',',') | array_to_string(array['a',null,'b'],',','-') | array_length(array[1,2,3],1) | array_upper(array[1],1)
array_lower(array[1],1) | cardinality(array[1,2]) | array_position(array['a','b'],'b') | array_append(array[1],2) | array_cat(array[1],array[2])
array_remove(array[1,2,1],1) | array_remove(null::text[],'a') | (array['a','b'])[2] | (array['a','b'])[5] | '{a,"b c",null}'::text[]
quote_ident('a b') | quote_ident('abc') | quote_literal('it''s') | abs(-5) | round(2.5::float8) | floor(-1.5::float8) | ceil(1.2::float8)
mod(7,3) | 1 between 0 and 2 | '5'::int + 1 | 't'::bool | true::text | 12::text | '12'::oid | 1::bool | format_type(23,-1) | format_type(1009,-1)
format_type(1184,null) | 'pg_class'::regclass::oid | 'pg_type'::regclass::text | 23::regtype::text | 'int8'::regtype::oid
(select max(x) from generate_series(1,5) x) | (select sum(x) from generate_series(1,5) x) | (select count(*) from generate_series(1,5) x where x > 2)
(select string_agg(x::text, ',' order by x) from generate_series(1,3) x) | (select array_agg(x) from generate_series(1,3) x)
array(select x from generate_series(1,3) x) | exists(select 1 from generate_series(1,3) x where x=2) | (select bool_and(x>0) from generate_series(1,3) x)
(select count(distinct x%2) from generate_series(1,5) x) | regexp_replace('abc','b','X') | starts_with('abc','ab') | has_schema_privilege('public','usage')
null is distinct from 1 | 1 is not distinct from 1 | pg_encoding_to_char(6) | row(1,2) = row(1,2) | (1,2) = (1,3) | 1 < null | 'a' in ('a','b')
coalesce(null::text,'x') | array[1,2] || 3 | array[1]||array[2] | '10' > '9' | 10 > 9 | (select x from generate_series(1,3) x limit 1 offset 1)"""

QUERIES = [
    "select x, row_number() over (partition by x%2 order by x desc) from generate_series(1,4) x order by 1",
    "select a.x, b.x as y from generate_series(1,3) a(x) left join generate_series(2,4) b(x) on a.x=b.x order by 1",
    "select a.x, b.x as y from generate_series(1,3) a(x) right join generate_series(2,4) b(x) on a.x=b.x order by 2",
    "select x%2 as p, count(*), max(x) from generate_series(1,5) x group by 1 order by 1",
    "select x from generate_series(1,5) x order by x desc nulls last limit 2 offset 1",
    "select 1 union select 1 union all select 2 order by 1",
    "select 1 except select 1",
    "select x from (values (3),(1),(2)) v(x) order by x",
    "with a as (select 1 as x union all select 2) select x, (select count(*) from a b where b.x <= a.x) from a order by x",
    "select distinct x%2 from generate_series(1,5) x order by 1",
    "select unnest(array['a','b']), 1",
    "select x, y from generate_series(1,2) x, unnest(array['p','q']) y order by 1,2",
    "select x from generate_series(1,6) x group by x having x % 2 = 0 order by x",
    "select t.* from (select 1 as a, 'b' as c) t where (t.a, t.c) = (1,'b')",
    "select a.x from generate_series(1,3) a(x) join generate_series(1,3) b(x) using (x) order by 1",
    "select x, sum(x) filter (where x>1) from generate_series(1,2) x group by x order by x",
    "select case when count(*) > 1 then 'many' end from generate_series(1,3) x",
    "select ordinality, u from unnest(array['a','b']) with ordinality as t(u, ordinality) order by 1",
    "select min(x), max(x), avg(x)::float8 from generate_series(1,4) x",
    "select x, l.y from generate_series(1,2) x left join lateral (select x * 10 as y where x > 1) l on true order by 1",
]


@contextlib.contextmanager
def postgres():
    """A Postgres of its own, as long as it is needed; the words to connect with."""
    programs = sorted(glob.glob("/usr/lib/postgresql/*/bin/initdb"))
    directory = tempfile.mkdtemp()
    # It does not run as root.
    words = ["setpriv", "--reuid=65534", "--clear-groups"] if os.geteuid() == 0 else []
    if words:
        os.chown(directory, 65534, -1)
    where = pathlib.Path(programs[-1]).parent
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    subprocess.run([*words, where / "initdb", "-D", f"{directory}/data", "-U", "me", "--no-sync", "--encoding=UTF8", "--locale=C.UTF-8"], check=True, **quiet)
    server = subprocess.Popen([*words, where / "postgres", "-D", f"{directory}/data", "-k", directory, "-c", "listen_addresses="], **quiet)
    connect = f"host={directory} user=me dbname=postgres"
    try:
        deadline = time.monotonic() + 60
        while True:
            try:
                psycopg.connect(connect).close()
                break
            except psycopg.OperationalError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.1)
        yield connect
    finally:
        server.terminate()
        server.wait(timeout=60)
        shutil.rmtree(directory, ignore_errors=True)


def there():
    return bool(glob.glob("/usr/lib/postgresql/*/bin/initdb")) and (os.geteuid() != 0 or shutil.which("setpriv"))


def compare(ours):
    """Asks both; how much they were asked, and what they say differently."""
    # A function of the catalogue makes it a question to the interpreter.
    expressions = [text.strip() for line in EXPRESSIONS.split("\n") for text in line.split(" | ")]
    asked = [f"select {text} as v, current_setting('server_encoding')" for text in expressions]
    asked += [f"select q.*, current_setting('server_encoding') from ({query}) q" for query in QUERIES]
    differ = []
    with postgres() as connect, psycopg.connect(connect, autocommit=True) as real:
        for question in asked:
            said = [say(connection, question) for connection in (ours, real)]
            if said[0] != said[1]:
                differ.append(f"{question}\n  here: {said[0]}\n  Postgres: {said[1]}")
    return len(asked), differ


def say(connection, question):
    try:
        cursor = connection.execute(question, prepare=False)
        return [column.name for column in cursor.description], [[str(value) for value in row] for row in cursor.fetchall()]
    except psycopg.Error as error:
        return f"{error.sqlstate} {error}"
