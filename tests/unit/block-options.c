/* SPDX-License-Identifier: GPL-2.0-or-later */
/* -drive and -blockdev as text: what comes of it, and what is told of what is wrong. */
#include "dm/block/drive.h"
#include "dm/block/options.h"
#include "unit/suite.h"

#include <string.h>

/* Parse a -blockdev, or a -drive's protocol layer. */
static bool parse(const char *text, struct block_options *options, GError **error)
{
    json_t *object = blockdev_from_text(text, error);
    bool good = object && block_options_parse(object, options, error);

    json_decref(object);
    return good;
}

static void test_dotted_and_json_are_one(void)
{
    const char *const json =
        "{\"driver\": \"file\", \"node-name\": \"n\", \"filename\": \"a,b\", \"read-only\": true, "
        "\"cache\": {\"direct\": true}, \"discard\": \"unmap\"}";
    const char *const texts[] = {
        "driver=file,node-name=n,filename=a,,b,read-only=on,cache.direct=on,discard=unmap",
        "file,node-name=n,filename=a,,b,read-only=yes,cache.direct=true,discard=on",
        json,
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(texts); i++) {
        struct block_options options;
        g_autoptr(GError) error = NULL;

        CU_ASSERT_TRUE_FATAL(parse(texts[i], &options, &error));
        CU_ASSERT_STRING_EQUAL(options.driver, "file");
        CU_ASSERT_STRING_EQUAL(options.node_name, "n");
        CU_ASSERT_STRING_EQUAL(options.filename, "a,b");
        CU_ASSERT_TRUE(options.read_only && options.direct && options.discard);
        CU_ASSERT_FALSE(options.no_flush || options.write_through);
        block_options_clear(&options);
    }
}

static void test_choices(void)
{
    struct block_options options;

    CU_ASSERT_TRUE_FATAL(
        parse("file,filename=x,aio=native,locking=off,detect-zeroes=unmap", &options, NULL));
    CU_ASSERT_EQUAL(options.aio, BLOCK_AIO_URING);
    CU_ASSERT_EQUAL(options.locking, BLOCK_OFF);
    CU_ASSERT_EQUAL(options.detect_zeroes, BLOCK_ZEROES_UNMAP);
    block_options_clear(&options);
    CU_ASSERT_TRUE_FATAL(parse("file,filename=x,aio=threads", &options, NULL));
    CU_ASSERT_EQUAL(options.aio, BLOCK_AIO_THREADS);
    CU_ASSERT_EQUAL(options.locking, BLOCK_AUTO);
    block_options_clear(&options);
}

static const struct {
    const char *text, *told; /* and what the message must say */
} bad_blockdevs[] = {
    {"", "driver"},
    {"{", "JSON"},
    {"{}", "driver"},
    {"[]", "driver"},
    {"{\"driver\": 1}", "driver"},
    {"fiel,filename=x", "'file'"},
    {"qcow2,filename=x", "qemu-nbd"},
    {"file", "filename"},
    {"file,filename=", "filename"},
    {"file,filename=x,filenam=y", "'filename'"},
    {"file,filename=x,aio=uring", "io_uring"},
    {"file,filename=x,aio=", "threads"},
    {"file,filename=x,discard=maybe", "unmap"},
    {"file,filename=x,read-only=perhaps", "read-only"},
    {"file,filename=x,cache=none", "cache"},
    {"file,filename=x,server.path=y", "server.path"},
    {"file,filename=x,node-name=#a", "#a"},
    {"file,filename=x,force-share=on", "read-only"},
    {"{\"driver\": \"file\", \"filename\": [1]}", "filename"},
    {"raw", "file="},
    {"raw,file=a,offset=100", "512"},
    {"raw,file=a,size=x", "size"},
    {"{\"driver\": \"raw\", \"file\": 7}", "file"},
    {"nbd", "server"},
    {"nbd,uri=nbd://x,server.path=/y", "one of"},
    {"nbd,server.type=vsock,server.path=/y", "unix"},
    {"nbd,server.path=/y,reconnect-delay=-1", "reconnect-delay"},
    {"file,filename=x,a.b.c.d.e.f=1", "a.b"},
    {"file,filename=x,cache.direct.x=1", "cache.direct"},
    {"file,filename=x,filename.y=1", "filename"},
};

static void test_bad_blockdevs(void)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(bad_blockdevs); i++) {
        struct block_options options;
        g_autoptr(GError) error = NULL;

        CU_ASSERT_FALSE(parse(bad_blockdevs[i].text, &options, &error));
        CU_ASSERT_PTR_NOT_NULL_FATAL(error);
        if (!strstr(error->message, bad_blockdevs[i].told)) {
            printf("\n'%s': %s\n", bad_blockdevs[i].text, error->message);
        }
        CU_ASSERT_PTR_NOT_NULL(strstr(error->message, bad_blockdevs[i].told));
    }
}

/* The two layers of a -drive. */
static struct drive *drive_layers(const char *text, struct block_options *top,
                                  struct block_options *protocol)
{
    g_autoptr(GError) error = NULL;
    struct drive *drive = drive_from_text(text, &error);

    if (error) {
        printf("\n%s: %s\n", text, error->message);
    }
    CU_ASSERT_PTR_NOT_NULL_FATAL(drive);
    CU_ASSERT_TRUE_FATAL(block_options_parse(drive->blockdev, top, NULL));
    CU_ASSERT_PTR_NOT_NULL_FATAL(top->file_definition);
    CU_ASSERT_TRUE_FATAL(block_options_parse(top->file_definition, protocol, NULL));
    return drive;
}

static void layers_clear(struct drive *drive, struct block_options *top,
                         struct block_options *protocol)
{
    block_options_clear(top);
    block_options_clear(protocol);
    drive_free(drive);
}

static void test_drive(void)
{
    struct block_options top, protocol;
    struct drive *drive = drive_layers("file=a,,b,if=none,id=d,format=raw,cache=directsync,"
                                       "aio=threads,discard=unmap,readonly=on,werror=stop",
                                       &top, &protocol);

    CU_ASSERT_STRING_EQUAL(drive->id, "d");
    CU_ASSERT_EQUAL(drive->interface, DRIVE_NONE);
    CU_ASSERT_STRING_EQUAL(top.driver, "raw");
    CU_ASSERT_FALSE(top.format_guessed);
    CU_ASSERT_TRUE(top.write_through && top.read_only && top.discard);
    CU_ASSERT_STRING_EQUAL(top.werror, "stop");
    CU_ASSERT_STRING_EQUAL(protocol.filename, "a,b");
    CU_ASSERT_TRUE(protocol.direct && protocol.read_only && protocol.discard);
    CU_ASSERT_EQUAL(protocol.aio, BLOCK_AIO_THREADS);
    layers_clear(drive, &top, &protocol);
}

static void test_drive_defaults(void)
{
    struct block_options top, protocol;
    struct drive *drive = drive_layers("disk.img", &top, &protocol);

    CU_ASSERT_PTR_NULL(drive->id);
    CU_ASSERT_EQUAL(drive->interface, DRIVE_DEFAULT);
    CU_ASSERT_EQUAL(drive->index, -1);
    CU_ASSERT_TRUE(top.format_guessed && protocol.auto_read_only);
    CU_ASSERT_FALSE(top.write_through || top.no_flush || protocol.direct || top.discard);
    layers_clear(drive, &top, &protocol);
}

static void test_drive_places(void)
{
    static const struct {
        const char *text;
        int index;
        bool is_cd;
    } cases[] = {
        {"x,if=ide", -1, false},
        {"x,if=ide,index=3", 3, false},
        {"x,if=ide,bus=1", 2, false},
        {"x,if=ide,unit=1", 1, false},
        {"x,if=ide,bus=1,unit=1,media=cdrom", 3, true},
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        struct block_options top, protocol;
        struct drive *drive = drive_layers(cases[i].text, &top, &protocol);

        CU_ASSERT_EQUAL(drive->interface, DRIVE_IDE);
        CU_ASSERT_EQUAL(drive->index, cases[i].index);
        CU_ASSERT_EQUAL(drive->is_cd, cases[i].is_cd);
        CU_ASSERT_EQUAL(top.read_only, cases[i].is_cd);
        layers_clear(drive, &top, &protocol);
    }
}

/* As libxl says it of a CD drive with nothing in it. */
static void test_empty_drives(void)
{
    static const char *const texts[] = {"if=none,readonly=on,id=ide-5632", "if=ide,media=cdrom",
                                        "media=cdrom,cache=none"};

    for (unsigned i = 0; i < G_N_ELEMENTS(texts); i++) {
        struct drive *drive = drive_from_text(texts[i], NULL);

        CU_ASSERT_PTR_NOT_NULL_FATAL(drive);
        CU_ASSERT_PTR_NULL(drive->blockdev);
        drive_free(drive);
    }
}

static void test_drive_nbd(void)
{
    static const struct {
        const char *file, *uri, *path, *host, *port, *export;
    } cases[] = {
        {"nbd:unix:/s", NULL, "/s", NULL, NULL, NULL},
        {"nbd:unix:/s:exportname=e", NULL, "/s", NULL, NULL, "e"},
        {"nbd:h:99", NULL, NULL, "h", "99", NULL},
        {"nbd:h:99:exportname=e", NULL, NULL, "h", "99", "e"},
        {"nbd://h/e", "nbd://h/e", NULL, NULL, NULL, NULL},
        {"nbd+unix:///e?socket=/s", "nbd+unix:///e?socket=/s", NULL, NULL, NULL, NULL},
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *text = g_strconcat("file=", cases[i].file, ",format=raw", NULL);
        struct block_options top, protocol;
        struct drive *drive = drive_layers(text, &top, &protocol);

        CU_ASSERT_STRING_EQUAL(protocol.driver, "nbd");
        CU_ASSERT_EQUAL(g_strcmp0(protocol.uri, cases[i].uri), 0);
        CU_ASSERT_EQUAL(g_strcmp0(protocol.unix_path, cases[i].path), 0);
        CU_ASSERT_EQUAL(g_strcmp0(protocol.host, cases[i].host), 0);
        CU_ASSERT_EQUAL(g_strcmp0(protocol.port, cases[i].port), 0);
        CU_ASSERT_EQUAL(g_strcmp0(protocol.export_name, cases[i].export), 0);
        layers_clear(drive, &top, &protocol);
    }
}

static const struct {
    const char *text, *told;
} bad_drives[] = {
    {"if=virtio", "file="},
    {"if=ide,media=disk", "file="},
    {"x,if=ide,index=4", "index=0 to 3"},
    {"x,if=ide,index=-1", "number"},
    {"x,if=ide,unit=2", "unit=0 or 1"},
    {"x,if=ide,bus=2,unit=0", "unit=0 or 1"},
    {"x,if=ide,index=99999999999", "index=0 to 3"},
    {"x,if=ide,index=0,unit=0", "one of them"},
    {"x,if=scsi", "scsi"},
    {"x,snapshot=on", "qemu-nbd"},
    {"x,snapshot=maybe", "snapshot"},
    {"x,serial=1", "-device"},
    {"x,cache=some", "writethrough"},
    {"x,media=floppy", "cdrom"},
    {"nbd:x", "nbd:HOST:PORT"},
    {"json:{", "JSON"},
    {"x,=y", "key"},
};

static void test_bad_drives(void)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(bad_drives); i++) {
        g_autoptr(GError) error = NULL;

        CU_ASSERT_PTR_NULL(drive_from_text(bad_drives[i].text, &error));
        CU_ASSERT_PTR_NOT_NULL_FATAL(error);
        if (!strstr(error->message, bad_drives[i].told)) {
            printf("\n'%s': %s\n", bad_drives[i].text, error->message);
        }
        CU_ASSERT_PTR_NOT_NULL(strstr(error->message, bad_drives[i].told));
    }
}

static const struct unit_test tests[] = {
    {"dotted keys and JSON say the same", test_dotted_and_json_are_one},
    {"choices", test_choices},
    {"wrong -blockdev", test_bad_blockdevs},
    {"-drive in two layers", test_drive},
    {"-drive's defaults", test_drive_defaults},
    {"places of IDE drives", test_drive_places},
    {"drives with nothing in them", test_empty_drives},
    {"-drive of NBD servers", test_drive_nbd},
    {"wrong -drive", test_bad_drives},
    {NULL, NULL},
};

int main(void)
{
    return unit_run("block options", tests);
}
