# The tick guest: a boot sector that sends the low byte of a counter every millisecond.
#
# The timer interrupt counts. The loop below it sends the count on the serial line whenever it has
# changed, and then writes to PAGES_PER_TICK pages of the area from 1 MiB up to AREA_END, round and
# round. To reach that area from 16-bit code, %fs keeps the 4 GiB limit it gets in a short visit to
# protected mode. tick.py fills in both parameters.

.set VECTOR_TIMER, 8
.set CODE, 0x7c00
.set AREA, 0x100000
.set PAGE, 0x1000
.set TIMER_HZ, 1193182
.set TIMER_RELOAD, (TIMER_HZ + 500) / 1000
.set COM1, 0x3f8
.set COM1_CONTROL, COM1 + 3

.macro out8 value, port
	movb	$\value, %al
	outb	%al, $\port
.endm

	.code16
	.globl	_start
_start:
	cli
	cld
	xorl	%eax, %eax
	movw	%ax, %ds
	movw	%ax, %ss
	movw	$CODE, %sp
	ljmp	$0, $1f				# some firmware starts us as 07c0:0000
1:
	inb	$0x92, %al			# address line 20 on
	orb	$0x02, %al
	andb	$0xfe, %al
	outb	%al, $0x92

	lgdt	table_pointer
	movl	%cr0, %edx
	movl	%edx, %eax
	orb	$1, %al
	movl	%eax, %cr0
	movw	$(flat - table), %bx
	movw	%bx, %fs
	movl	%edx, %cr0

	movw	$timer, VECTOR_TIMER * 4
	movw	$0, VECTOR_TIMER * 4 + 2
	out8	0x34, 0x43			# channel 0, rate generator
	out8	(TIMER_RELOAD & 0xff), 0x40
	out8	(TIMER_RELOAD >> 8), 0x40
	out8	0xff, 0xa1			# mask all interrupts but the timer's
	out8	0xfe, 0x21

	movw	$COM1_CONTROL, %dx		# 115200 baud, 8 bits, no parity
	movb	$0x80, %al
	outb	%al, %dx
	movw	$COM1, %dx
	movw	$1, %ax
	outw	%ax, %dx
	movw	$COM1_CONTROL, %dx
	movb	$0x03, %al
	outb	%al, %dx
	movw	$COM1, %dx

	movl	$AREA, %edi
	xorl	%ebx, %ebx			# what was sent last
	sti

loop:
	hlt
	movl	count, %eax
	cmpl	%ebx, %eax
	je	loop
	movl	%eax, %ebx
	outb	%al, %dx
	movl	pages_per_tick, %ecx
	jecxz	loop
touch:
	incl	%fs:(%edi)
	addl	$PAGE, %edi
	cmpl	area_end, %edi
	jb	next
	movl	$AREA, %edi
next:
	decl	%ecx
	jnz	touch
	jmp	loop

timer:
	pushw	%ax
	incl	count
	out8	0x20, 0x20			# end of interrupt
	popw	%ax
	iret

	.balign	8
table:
	.quad	0
flat:
	.quad	0x00cf92000000ffff
table_pointer:
	.word	. - table - 1
	.long	table
count:
	.long	0

	.org	502
pages_per_tick:
	.long	0
area_end:
	.long	AREA
	.org	510
	.word	0xaa55
