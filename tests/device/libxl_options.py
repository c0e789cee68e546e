# SPDX-License-Identifier: GPL-2.0-or-later
"""Every form of option that libxl may put on a device model's command line
(libxl__build_device_model_args_new): accepted, or refused with an error that names it and says what
to write in its place."""
import json
import os
import shutil
import subprocess
import tempfile
import unittest

from duodm import BINARY, QMP, SLOWER, Duodm, connect, run

CD = "-device ide-cd,id=ide-5632,drive=ide-5632,bus=ide.1,unit=0"
NIC = "-netdev user,id=net0 -device {},id=nic0,netdev=net0,mac=00:16:3e:00:00:01"

ACCEPTED = [
    "-name guest -m 64 -smp 2,maxcpus=4 -no-shutdown -no-user-config", "-xen-attach",
    "-smp 4", "-boot order=c", "-boot order=cda", "-boot order=n", "-k en-us", "-k de", "-no-acpi",
    # screens
    "-vnc none", "-vnc 127.0.0.1:0,to=99", "-vnc 127.0.0.1:0,password=on,to=99",
    "-vnc 127.0.0.1:0,password,to=99", "-display none", "-nographic",
    "-device VGA,vgamem_mb=8", "-device VGA,vgamem_mb=16", "-device cirrus-vga,vgamem_mb=8",
    "-vga none", "-vga std", "-vga cirrus",
    # serial and parallel ports, channels
    "-serial pty", "-serial null", "-serial none", "-serial file:@/ser", "-serial pty -serial null",
    "-serial tcp:127.0.0.1:0,server,nowait", "-serial tcp:127.0.0.1:0,server=on,wait=off",
    "-serial unix:@/serial,server,nowait", "-parallel none", "-chardev pty,id=libxl-channel0",
    "-chardev socket,id=libxl-channel0,path=@/channel,server=on,wait=off",
    "-chardev socket,id=libxl-channel1,path=@/channel,server,nowait",
    # disks
    "-drive file=@/disk,if=ide,index=0,media=disk,format=raw,cache=writeback",
    "-drive file=@/disk,if=ide,index=3,media=disk,format=raw,cache=writeback",
    "-device ahci,id=ahci0 -drive file=@/disk,if=none,id=ahcidisk-0,format=raw,cache=writeback "
    "-device ide-hd,bus=ahci0.0,unit=0,drive=ahcidisk-0",
    "-device ahci,id=ahci0 -drive file=@/disk,if=none,id=ahcidisk-5,format=raw,cache=writeback "
    "-device ide-hd,bus=ahci0.5,unit=0,drive=ahcidisk-5",
    "-drive file=@/disk,if=ide,index=0,media=disk,driver=raw,cache=writeback",
    "-drive file=@/disk,if=ide,index=0,media=disk,format=file,cache=writeback",
    "-drive driver=null-co,size=1048576,if=ide,index=0",
    f"-drive if=none,readonly=on,id=ide-5632 {CD}",
    f"-drive if=none,readonly=on,id=ide-5632,file=@/disk,format=raw {CD}",
    # network cards
    NIC.format("rtl8139"), NIC.format("e1000"), NIC.format("virtio-net"),
    NIC.format("virtio-net-pci"), "-net none",
    # USB
    "-usb", "-usb -usbdevice tablet", "-usb -usbdevice mouse", "-usb -usbdevice keyboard",
    "-device piix3-usb-uhci,id=usb", "-device piix3-usb-uhci,id=xenusb-0",
    # the machine
    "-machine pc,suppress-vmdesc=on", "-machine pc,max-ram-below-4g=3221225472,suppress-vmdesc=on",
    "-device xen-pvdevice,device-id=0xc000", "-object iothread,id=thread0",
    "-device virtio-serial -chardev null,id=c -device virtserialport,chardev=c,name=com.example",
]

# Forms, the option that the error names, and what it says of it.
REFUSED = [
    ("-display sdl", "-display", "VNC"),
    ("-display sdl,gl=on", "-display", "VNC"),
    ("-spice port=5900,tls-port=0,disable-ticketing=on,agent-mouse=on", "-spice", "spice=0"),
    ("-spice port=0,addr=127.0.0.1,password=x,agent-mouse=off,image-compression=auto_glz", "-spice",
     "VNC"),
    ("-device virtio-serial -chardev spicevmc,id=vdagent,name=vdagent -device "
     "virtserialport,chardev=vdagent,name=com.redhat.spice.0", "-chardev spicevmc", "-chardev help"),
    ("-device qxl-vga,vram_size_mb=64,ram_size_mb=64", "qxl-vga", "stdvga"),
    ("-vga qxl", "-vga qxl", "std"),
    ("-serial vc", "-serial vc", "vc"),
    ("-serial udp:127.0.0.1:9", "-serial udp", "file:PATH"),
    ("-serial telnet:127.0.0.1:0,server,nowait", "-serial telnet", "tcp:HOST:PORT"),
    ("-parallel pty", "-parallel pty", "no parallel port"),
    ("-parallel /dev/parport0", "-parallel", "no parallel port"),
    ("-device lsi53c895a", "lsi53c895a", "no SCSI"),
    ("-drive file=@/disk,if=none,id=scsi0-hd0,format=raw,readonly=off,cache=writeback -device "
     "scsi-hd,drive=scsi0-hd0,scsi-id=0", "scsi-hd", "hda or xvda"),
    ("-drive file=@/disk,if=scsi,bus=0,unit=1,format=raw,cache=writeback", "if=scsi", "if=ide"),
    *((f"-drive file=@/disk,if=ide,index=0,media=disk,format={f},cache=writeback", f"'{f}'",
       "qemu-nbd") for f in ("qcow", "qcow2", "vpc", "qed")),
    ("-drive file=@/disk,if=ide,index=0,media=disk,format=host_device", "-drive", "no block device"),
    ("-drive if=ide,index=4,file=@/disk,format=raw", "index=0 to 3", "four places"),
    *((NIC.format(n), n, "e1000, rtl8139") for n in ("ne2k_pci", "pcnet", "i82551")),
    ("-usb -usbdevice host:1.2", "-usbdevice host:1.2", "tablet, mouse or keyboard"),
    ("-device ich9-usb-ehci1,id=usb,addr=0x1d.0x7,multifunction=on -device ich9-usb-uhci1,"
     "masterbus=usb.0,firstport=0,addr=0x1d.0,multifunction=on", "ich9-usb-ehci1", "usbversion=1"),
    ("-device nec-usb-xhci,id=usb", "nec-usb-xhci", "usbversion=1"),
    ("-device usb-host,hostbus=1,hostaddr=2,id=x", "usb-host", "usb-tablet"),
    ("-chardev null,id=usbrc1 -device usb-redir,chardev=usbrc1,id=usbrc1", "usb-redir",
     "usbredirection"),
    *((f"-device {d}", d, "no sound") for d in ("intel-hda", "AC97", "ac97", "ES1370", "sb16")),
    ("-soundhw hda", "-soundhw", "no sound"),
    ("-audiodev none,id=a", "-audiodev", "no sound"),
    ("-machine pc,igd-passthru=on", "-machine pc,igd-passthru=on", "gfx_passthru=0"),
    ("-machine xenpv -xen-domid 1", "-machine xenpv", "xenfv"),
    ("-xen-domid 1", "-xen-domid", "-accel xen"),
    ("-chroot /no/such/folder", "-chroot /no/such/folder", "No such file"),
    ("-runas no-such-user", "-runas no-such-user", "user"),
    ("-run-with async-teardown=on", "-run-with", "chroot"),
    ("-incoming fd:77", "-incoming", "77"),
    ("-object filter-mirror,id=m,netdev=n,queue=tx", "filter-mirror", "-object help"),
    ("-object colo-compare,id=c", "colo-compare", "-object help"),
    ("-drive if=scsi,id=colo,driver=quorum,children.0.file.filename=@/disk", "if=scsi", "if=ide"),
    ("-drive if=none,id=colo,driver=replication,mode=primary,file.driver=nbd", "-drive",
     "'replication'"),
]


class Options(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="duodm-test-")
        self.addCleanup(shutil.rmtree, self.folder)
        with open(os.path.join(self.folder, "disk"), "wb") as file:
            file.truncate(1 << 20)

    def run_with(self, form):
        """To the end of a monitor's life: what is accepted works until it is told to quit."""
        words = form.replace("@", self.folder).split()
        line = [BINARY, "-accel", "qtest", "-nodefaults"]
        if "-nographic" not in words:
            line += ["-display", "none"] if "-display" not in words else []
        return subprocess.run(
            [*line, "-chardev", "stdio,id=monitor", "-mon", "chardev=monitor,mode=control", *words],
            input=b'{"execute":"qmp_capabilities"}{"execute":"query-status"}{"execute":"quit"}',
            capture_output=True, timeout=20 * SLOWER, check=False)

    def test_accepted(self):
        for form in ACCEPTED:
            with self.subTest(form=form):
                result = self.run_with(form)
                self.assertEqual(result.returncode, 0, result.stderr)
                self.assertIn(b'"status": "running"', result.stdout)

    def test_refused_by_name(self):
        for form, name, advice in REFUSED:
            with self.subTest(form=form):
                result = self.run_with(form)
                text = result.stderr.decode()
                self.assertEqual(result.returncode, 1, text)
                self.assertEqual(len(text.splitlines()), 1, text)
                self.assertIn(name, text)
                self.assertIn(advice, text)

    def test_tap(self):
        """There is none for us, but the form is understood."""
        result = self.run_with(
            "-device rtl8139,id=nic0,netdev=net0,mac=00:16:3e:00:00:01 -netdev type=tap,id=net0,"
            "ifname=vif1.0-emu,br=xenbr0,script=no,downscript=no")
        if result.returncode:  # no right to make one here
            self.assertIn(b"vif1.0-emu", result.stderr)
            self.assertNotIn(b"not known", result.stderr)

    def test_without_xen(self):
        """The whole of a real domain's line, where there is no Xen."""
        if "xen " not in run("-accel", "help").stdout or os.path.exists("/dev/xen/privcmd"):
            self.skipTest("the engine xen is not built in, or can be used")
        for machine in "xenfv", "pc,accel=xen":
            result = run("-xen-domid", "1", "-no-shutdown", "-chardev",
                         f"socket,id=libxl-cmd,path={self.folder}/qmp,server=on,wait=off", "-mon",
                         "chardev=libxl-cmd,mode=control", "-nodefaults", "-no-user-config",
                         "-name", "guest", "-vnc", "none", "-display", "none", "-boot", "order=cda",
                         "-device", "VGA,vgamem_mb=16", "-net", "none", "-machine",
                         f"{machine},max-ram-below-4g=4026531840,suppress-vmdesc=on", "-m", "248")
            self.assertEqual(result.returncode, 1)
            self.assertIn("Xen control domain", result.stderr)
            self.assertEqual(os.listdir(self.folder), ["disk"])


class Probe(unittest.TestCase):
    def test_what_can_you_do(self):
        """libxl asks for options before there is a domain, and where there may be no Xen at all."""
        with Duodm("-S", "-no-user-config", "-nographic", "-machine", "none,accel=xen", "-chardev",
                   "socket,id=libxl-cmd,path=@/probe,server=on,wait=off", "-mon",
                   "chardev=libxl-cmd,mode=control") as vm:
            sock = connect(vm.path("probe"))
            self.addCleanup(sock.close)
            client = QMP(sock)
            options = {o["option"]: [p["name"] for p in o["parameters"]]
                       for o in client.execute("query-command-line-options")}
            self.assertLessEqual({"chroot", "user"}, set(options["run-with"]))
            self.assertEqual(client.execute("query-status")["status"], "prelaunch")
            # Nothing that a monitor can ask is missing a machine.
            commands = {c["name"] for c in client.execute("query-commands")}
            for command in sorted(c for c in commands if c.startswith("query-")):
                sock.sendall(json.dumps({"execute": command}).encode())
                client.reply()
            for line in ("info mtree", "info pci", "info qtree", "info iommu", "info block"):
                client.human(line)
            client.execute("quit")
            self.assertEqual(vm.wait(), 0)


if __name__ == "__main__":
    unittest.main()
