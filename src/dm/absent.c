/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dm/absent.h"

#include <glib.h>
#include <stdbool.h>

struct absent {
    const char *const *names; /* ended by NULL */
    const char *advice;
};

#define NAMES(...) ((const char *const[]){__VA_ARGS__, NULL})
#define NO_SOUND   "; there is no sound: leave it out (xl: soundhw)"

static const struct absent devices[] = {
    {NAMES("intel-hda", "ich9-intel-hda", "hda-duplex", "hda-micro", "hda-output", "AC97", "ES1370",
           "sb16", "adlib", "cs4231a", "gus"),
     NO_SOUND},
    {NAMES("lsi53c895a", "lsi", "mptsas1068", "megasas", "virtio-scsi-pci", "scsi-hd", "scsi-cd",
           "scsi-disk"),
     "; there is no SCSI: use ide-hd, at an ahci too, or virtio-blk-pci (xl: name the disk hda or "
     "xvda)"},
    {NAMES("ich9-usb-ehci1", "ich9-usb-uhci1", "ich9-usb-uhci2", "ich9-usb-uhci3", "usb-ehci",
           "nec-usb-xhci", "qemu-xhci"),
     "; the USB controller is piix3-usb-uhci (xl: usbversion=1)"},
    {NAMES("usb-host", "usb-redir", "usb-storage", "usb-hub"),
     "; USB devices are usb-tablet, usb-mouse and usb-kbd (xl: no usbdev, no usbredirection)"},
    {NAMES("qxl-vga", "qxl", "vmware-svga", "virtio-vga"),
     "; the display adapter is VGA (xl: vga=\"stdvga\")"},
    {NAMES("ne2k_pci", "pcnet", "i82551", "i82557b", "i82559er", "tulip", "e1000e", "vmxnet3"),
     "; network cards are e1000, rtl8139 and virtio-net-pci (xl: model=)"},
};

static const struct absent machine_properties[] = {
    {NAMES("igd-passthru"),
     "; a graphics adapter can't be passed through as the primary one (xl: gfx_passthru=0)"},
};

static const struct absent options[] = {
    {NAMES("spice"), "; the screen is shown over VNC: -vnc (xl: spice=0)"},
    {NAMES("soundhw", "audiodev", "audio"), NO_SOUND},
    {NAMES("fda", "fdb"), "; there are no diskettes"},
    {NAMES("curses"), "; use -nographic, or -vnc"},
    {NAMES("sdl"), "; use -vnc"},
    {NAMES("daemonize"), "; use a service manager, or '&': -pidfile tells the process number"},
    {NAMES("enable-kvm"), "; use -accel kvm"},
    {NAMES("no-kvm"), "; use -accel tcg"},
    {NAMES("gdb", "s"), "; use the monitor's x and info registers, and -d"},
    {NAMES("loadvm"), "; use -incoming file:FILE"},
    {NAMES("mem-path"), "; use -object memory-backend-memfd and -machine memory-backend="},
    {NAMES("sandbox"), "; use -runas and -chroot"},
    {NAMES("snapshot"), "; use a copy of the image, or an overlay that qemu-nbd serves"},
};

/* As xl hands it over: "AC97" and "ac97". */
static bool is_named(const struct absent *absent, const char *name)
{
    const char *const *candidate = absent->names;

    while (*candidate && g_ascii_strcasecmp(*candidate, name) != 0) {
        candidate++;
    }
    return *candidate != NULL;
}

static const char *find(const struct absent *table, unsigned count, const char *name)
{
    for (unsigned i = 0; i < count; i++) {
        if (is_named(&table[i], name)) {
            return table[i].advice;
        }
    }
    return "";
}

const char *absent_device_advice(const char *driver)
{
    return find(devices, G_N_ELEMENTS(devices), driver);
}

const char *absent_option_advice(const char *option)
{
    return find(options, G_N_ELEMENTS(options), option);
}

const char *absent_machine_property_advice(const char *name)
{
    return find(machine_properties, G_N_ELEMENTS(machine_properties), name);
}
