#include <netinet/udp.h>
#include <stdalign.h>
#include <string.h>

#include "core/ring_uring.h"

enum { CONTROL_MAX = 256 };

/* A control message, and where its value goes. */
typedef void control_fn(const struct cmsghdr *control, struct datagram_in *in);

static int control_int(const struct cmsghdr *control)
{
    int value = 0;
    size_t length = control->cmsg_len - CMSG_LEN(0);

    memcpy(&value, CMSG_DATA(control), length < sizeof(value) ? length : sizeof(value));
    return value;
}

static void control_segment(const struct cmsghdr *control, struct datagram_in *in)
{
    int segment = control_int(control);

    if (segment > 0 && (uint32_t)segment < in->length)
        in->segment = (uint32_t)segment;
}

static void control_ecn(const struct cmsghdr *control, struct datagram_in *in)
{
    in->ecn = (uint8_t)(control_int(control) & 3);
}

static void control_local4(const struct cmsghdr *control, struct datagram_in *in)
{
    struct sockaddr_in local = {.sin_family = AF_INET};
    struct in_pktinfo info;

    memcpy(&info, CMSG_DATA(control), sizeof(info));
    local.sin_addr =
        info.ipi_spec_dst; /* for a broadcast, ours rather than the broadcast address */
    addr_from_sockaddr(&in->local, (const struct sockaddr *)&local, sizeof(local));
}

static void control_local6(const struct cmsghdr *control, struct datagram_in *in)
{
    struct sockaddr_in6 local = {.sin6_family = AF_INET6};
    struct in6_pktinfo info;

    memcpy(&info, CMSG_DATA(control), sizeof(info));
    local.sin6_addr = info.ipi6_addr;
    if (IN6_IS_ADDR_LINKLOCAL(&info.ipi6_addr))
        local.sin6_scope_id = info.ipi6_ifindex;
    addr_from_sockaddr(&in->local, (const struct sockaddr *)&local, sizeof(local));
}

static const struct {
    int level, type;
    size_t least; /* bytes of value */
    control_fn *parse;
} controls[] = {
    {SOL_UDP,      UDP_GRO,      sizeof(int),                control_segment},
    {IPPROTO_IP,   IP_TOS,       1,                          control_ecn    },
    {IPPROTO_IPV6, IPV6_TCLASS,  sizeof(int),                control_ecn    },
    {IPPROTO_IP,   IP_PKTINFO,   sizeof(struct in_pktinfo),  control_local4 },
    {IPPROTO_IPV6, IPV6_PKTINFO, sizeof(struct in6_pktinfo), control_local6 },
};

static void control_parse(const struct cmsghdr *control, struct datagram_in *in)
{
    for (size_t i = 0; i < ARRAY_COUNT(controls); i++) {
        if (control->cmsg_level != controls[i].level || control->cmsg_type != controls[i].type)
            continue;
        if (control->cmsg_len >= CMSG_LEN(controls[i].least))
            controls[i].parse(control, in);
        return;
    }
}

/* In the chunk the control messages follow the address and are not aligned. */
static void controls_parse(const struct msghdr *message, const struct io_uring_recvmsg_out *out,
                           struct datagram_in *in)
{
    alignas(struct cmsghdr) uint8_t copy[CONTROL_MAX];
    struct msghdr walk = {.msg_control = copy, .msg_controllen = out->controllen};

    memcpy(copy, (const uint8_t *)(out + 1) + message->msg_namelen, out->controllen);
    for (struct cmsghdr *control = CMSG_FIRSTHDR(&walk); control;
         control = CMSG_NXTHDR(&walk, control))
        control_parse(control, in);
}

bool uring_datagram(const struct op *op, struct op_result result, struct datagram_in *in)
{
    struct msghdr *message = op->message;
    struct io_uring_recvmsg_out *out;

    must(message->msg_controllen <= CONTROL_MAX);
    *in = (struct datagram_in){0};
    if (result.res < 0 || !result.chunk)
        return false;
    out = io_uring_recvmsg_validate(result.chunk->data, result.res, message);
    if (!out || (out->flags & (MSG_TRUNC | MSG_CTRUNC)) || out->namelen > message->msg_namelen ||
        out->controllen > message->msg_controllen)
        return false;
    in->data = io_uring_recvmsg_payload(out, message);
    in->length = io_uring_recvmsg_payload_length(out, result.res, message);
    addr_from_sockaddr(&in->peer, io_uring_recvmsg_name(out), out->namelen);
    controls_parse(message, out, in);
    return true;
}
