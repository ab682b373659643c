; A guest that checks its own memory for ever, in one boot sector.
;
; It prints START, then walks the pages of [lower, upper) round after round. In round r it checks what
; round r-1 left in a page, writes what belongs to round r, and prints one '.' on COM1 when the walk is
; complete. A page that is not as round r-1 left it is reported once as
;     BAD aaaaaaaa        (its guest-physical address, hexadecimal)
; and rewritten, so the number of BAD lines is the number of wrong pages.
;
; A page of round r holds, as little-endian 32-bit words:
;     +0                      r
;     +4                      the page's own address
;     +508, +1020 ... +4092   r * MIX + the word's own address: one in each 512-byte sector,
;                             so that a page torn at any sector boundary is found
; Round 0 writes without checking. The round lives in a register only: memory that is older or newer than the
; CPU state of the same image is found in the first round after a restore.
;
; Parameters are words that the builder of the image patches, at these offsets of the sector:
;     4   lower limit in MiB, at least 1
;     8   upper limit in MiB, at most 3072; 0: all RAM below 4 GiB
;     12  seed; 0: only the words above are written. Otherwise round 0 fills every page first with
;         pseudo-random words, so that it does not compress

        org 0x7c00
        bits 16

COM1    equ 0x3f8
MIX     equ 0x9e3779b1
CODE    equ 8
DATA    equ 16

        jmp short start
        times 4-($-$$) db 0
lower:  dd 1
upper:  dd 0
seed:   dd 0

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

        mov esi, line_setup             ; 115200 8N1: at the reset rate of 9600 the port is the bottleneck
        mov ecx, (line_setup_end - line_setup) / 2
        xor edx, edx
.port:  lodsw
        mov dx, COM1
        add dl, al
        mov al, ah
        out dx, al
        loop .port

        shl dword [lower], 20
        shl dword [upper], 20
        jnz .greet
        mov al, 0x35                    ; CMOS 0x34-0x35: RAM between 16 MiB and 4 GiB in units of 64 KiB
        out 0x70, al
        in al, 0x71
        mov ah, al
        mov al, 0x34
        out 0x70, al
        in al, 0x71
        shl eax, 16
        add eax, 16 << 20
        mov [upper], eax
.greet: mov esi, started
        call print

        xor ebp, ebp                    ; the round
walk:   mov ebx, [lower]                ; the page
page:   test ebp, ebp
        jz fill

        lea eax, [ebp-1]
        cmp [ebx], eax
        jne bad
        cmp [ebx+4], ebx
        jne bad
        imul edx, eax, MIX
        add edx, ebx
        mov ecx, 508
.check: lea eax, [edx+ecx]
        cmp [ebx+ecx], eax
        jne bad
        add ecx, 512
        cmp ecx, 4096
        jb .check

write:  mov [ebx], ebp
        mov [ebx+4], ebx
        imul edx, ebp, MIX
        add edx, ebx
        mov ecx, 508
.mark:  lea eax, [edx+ecx]
        mov [ebx+ecx], eax
        add ecx, 512
        cmp ecx, 4096
        jb .mark
        add ebx, 4096
        cmp ebx, [upper]
        jb page

        inc ebp
        mov al, '.'
        call put
        jmp walk

fill:   mov eax, [seed]
        test eax, eax
        jz write
        xor eax, ebx
        mov edi, ebx
        mov ecx, 1024
.next:  imul eax, eax, 1664525
        add eax, 1013904223
        stosd
        loop .next
        jmp write

bad:    mov esi, broken
        call print
        mov edi, ebx
        mov ecx, 8
.digit: rol edi, 4
        mov eax, edi
        and al, 15
        cmp al, 10
        sbb al, 0x69                    ; with das: the hexadecimal digit of al
        das
        call put
        loop .digit
        mov al, 10
        call put
        jmp write

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
broken:  db 10, 'BAD ', 0

        align 8
gdt:    dq 0
        dq 0x00cf9a000000ffff           ; flat code
        dq 0x00cf92000000ffff           ; flat data
gdtr:   dw gdtr - gdt - 1
        dd gdt

        times 510-($-$$) db 0
        dw 0xaa55
