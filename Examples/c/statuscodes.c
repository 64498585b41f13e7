// Status codes by hour of a web server's access log (common or combined format):
//
//     127.0.0.1 - - [10/Oct/2000:13:55:36 -0700] "GET /index.html HTTP/1.0" 200 2326
//
// gives `2000-10-10T13 200` and how often.
#include "mapreduce.h"

static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";

static uint32_t month(mr_bytes name) {
    for (uint32_t i = 0; i < 12 && name.count == 3; i++)
        if (mr_equal(name, (mr_bytes){(const uint8_t *)months + 3 * i, 3})) return i + 1;
    return 0;
}

static void each(mr_bytes line) {
    mr_bytes rest = line;
    mr_field(&rest, '[');
    mr_bytes day = mr_field(&rest, '/'), name = mr_field(&rest, '/'), year = mr_field(&rest, ':');
    mr_bytes hour = mr_field(&rest, ':');
    mr_field(&rest, '"');
    // A request may hold escaped quotes.
    mr_bytes request;
    do request = mr_field(&rest, '"'); while (request.count > 0 && request.start[request.count - 1] == '\\');
    mr_field(&rest, ' ');
    mr_bytes status = mr_field(&rest, ' ');
    uint32_t number = month(name);
    if (day.count != 2 || number == 0 || year.count != 4 || hour.count != 2 || status.count != 3) {
        mr_count("log", "lines without a status", 1);
        return;
    }
    uint8_t key[17] = "yyyy-mm-ddThh sss";
    mr_copy(key, year.start, 4);
    key[5] = '0' + number / 10;
    key[6] = '0' + number % 10;
    mr_copy(key + 8, day.start, 2);
    mr_copy(key + 11, hour.start, 2);
    mr_copy(key + 14, status.start, 3);
    mr_emit_number((mr_bytes){key, 17}, 1);
}
MR_MAP(each)

static int64_t sum;
static void begin(mr_bytes key) { sum = 0; }
static void add(mr_bytes key, mr_bytes value) { sum += mr_parse(value); }
static void end(mr_bytes key) { mr_emit_number(key, sum); }
MR_REDUCE(begin, add, end)

static void finish(void) {}
MR_END(finish)
