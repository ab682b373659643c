; A guest that dirties memory at a given rate, in one boot sector.
;
; It prints START, and then, a hundred times a second, adds one to the first word of the next so many pages of [lower, upper), going
; round. It prints one '.' on COM1 for each second. In between it waits for the timer, so that it takes no more of the CPU than its rate
; needs, and each page takes three instructions, since a KVM that emulates them all takes a microsecond for each.
;
; Parameters are words that the builder of the image patches, at these offsets of the sector:
;     4   lower limit in MiB, at least 1
;     8   upper limit in MiB
;     12  pages per tick of 10 ms, at most all of them; 0: none
;     16  0: an interrupt of the timer wakes it. 1: it reads the timer all the time, for a KVM that delivers no interrupts

        org 0x7c00
        bits 16

COM1    equ 0x3f8
CODE    equ 8
DATA    equ 16
IDT     equ 0x6000

        jmp short start
        times 4-($-$$) db 0
lower:  dd 1
upper:  dd 2
pages:  dd 0
poll:   dd 0

        align 4
multiboot:                              ; for -kernel: firmware gives a floppy up that a slow KVM reads
        dd 0x1badb002, 0x10000, -(0x1badb002 + 0x10000)
        dd multiboot, $$, $$ + 512, $$ + 512, loaded

start:
        cli
        cld
        xor ax, ax
        mov ds, ax
        in al, 0x92                     ; fast A20 gate
        or al, 2
        and al, 0xfe                    ; bit 0 would reset the machine
        out 0x92, al
        lgdt [gdtr]
        mov eax, cr0
        or al, 1
        mov cr0, eax
        jmp CODE:protected

        bits 32
loaded: lgdt [gdtr]
        jmp CODE:protected

protected:
        mov ax, DATA
        mov ds, ax
        mov es, ax
        mov ss, ax
        mov esp, 0x7c00

        mov esi, line_setup             ; 115200 8N1
        mov ecx, (line_setup_end - line_setup) / 2
.port:  xor eax, eax
        lodsw
        movzx edx, al
        add edx, COM1
        mov al, ah
        out dx, al
        loop .port

        mov esi, started
        call print
        shl dword [lower], 20
        shl dword [upper], 20

        mov edi, IDT                    ; only the timer has a handler: IRQ 0, moved to vector 32
        xor eax, eax
        mov ecx, 33 * 2
        rep stosd
        mov eax, timer
        mov [IDT + 32 * 8], ax
        mov word [IDT + 32 * 8 + 2], CODE
        mov word [IDT + 32 * 8 + 4], 0x8e00
        shr eax, 16
        mov [IDT + 32 * 8 + 6], ax
        lidt [idtr]

        mov al, 0x11                    ; the interrupt controllers
        out 0x20, al
        out 0xa0, al
        mov al, 32
        out 0x21, al
        mov al, 40
        out 0xa1, al
        mov al, 4
        out 0x21, al
        mov al, 2
        out 0xa1, al
        mov al, 1
        out 0x21, al
        out 0xa1, al
        mov al, 0xfe
        out 0x21, al
        mov al, 0xff
        out 0xa1, al
        mov al, 0x34                    ; the timer, 100 Hz
        out 0x43, al
        mov al, 11932 & 255
        out 0x40, al
        mov al, 11932 >> 8
        out 0x40, al

        mov ebx, [lower]
        xor ebp, ebp                    ; ticks
        xor edi, edi                    ; the timer's count, which goes down
        cmp [poll], edi
        jne tick
        sti
tick:   cmp dword [poll], 0
        jne .read
        hlt
        jmp .go
.read:  xor eax, eax
        out 0x43, al                    ; latch it
        in al, 0x40
        mov ah, al
        in al, 0x40
        xchg al, ah
        cmp eax, edi
        mov edi, eax
        jbe .read
.go:
        mov ecx, [pages]
        jecxz .count
.page:  inc dword [ebx]
        add ebx, 4096
        loop .page
        mov eax, [pages]                ; so many are left before the end, or it begins again
        shl eax, 12
        add eax, ebx
        cmp eax, [upper]
        jbe .count
        mov ebx, [lower]
.count: inc ebp
        cmp ebp, 100
        jb tick
        xor ebp, ebp
        mov al, '.'
        call put
        jmp tick

timer:  push eax
        mov al, 0x20
        out 0x20, al
        pop eax
        iret

print:  lodsb
        test al, al
        jz .done
        call put
        jmp print
.done:  ret

put:    mov ah, al
        mov dx, COM1 + 5
.wait:  in al, dx
        test al, 0x20                   ; transmitter ready
        jz .wait
        mov dx, COM1
        mov al, ah
        out dx, al
        ret

line_setup:                             ; register, value
        db 1, 0x00, 3, 0x83, 0, 1, 1, 0, 3, 0x03, 2, 0x07
line_setup_end:
started: db 'START', 10, 0

        align 8
gdt:    dq 0
        dq 0x00cf9a000000ffff           ; flat code
        dq 0x00cf92000000ffff           ; flat data
gdtr:   dw gdtr - gdt - 1
        dd gdt
idtr:   dw 33 * 8 - 1
        dd IDT

        times 510-($-$$) db 0
        dw 0xaa55
